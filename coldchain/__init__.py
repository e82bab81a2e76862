"""What Coldchain knows: values and rules that run where neither Prefect nor a network exists."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("coldchain")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+checkout"
