"""The procedures: one flow a file, named by its verb."""
