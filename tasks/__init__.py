"""What Coldchain can do: one module for each kind of work or outside system, as adapters and thin tasks."""
