"""archcost measured side by side with other runtimes: ``archcost bench``.

Every runtime runs in a process of its own (``worker``), which does what the measuring process asks for (``client``):
open a network, run it once, run it for a while. Nothing here is imported by any other part of the package but the
command, and no peer is imported outside its worker.
"""
