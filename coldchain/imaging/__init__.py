"""The kernels: what is computed from pixels. Plain functions of paths, numbers and arrays; they run on any node."""
