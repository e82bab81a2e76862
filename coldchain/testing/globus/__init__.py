"""A stand-in for Globus Auth and the Globus Transfer API (v0.10), to which the real globus-sdk talks over HTTP.

A collection is a folder, and tasks really move files between folders. It is written from the service's published documents
(docs.globus.org/api/transfer) and from the examples that globus-sdk 4 carries. What those leave open is its own: the codes for a rename
onto something that stands there, and the limit of items in a task.
"""

from coldchain.testing.globus.cloud import Cloud
from coldchain.testing.globus.troubles import Trouble

__all__ = ["Cloud", "Trouble"]
