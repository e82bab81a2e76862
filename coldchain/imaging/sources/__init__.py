"""What instruments write, behind one small protocol: each format in the file of its name, `opening` chooses by a file's ending."""
