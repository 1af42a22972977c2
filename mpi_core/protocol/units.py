"""The units that everything else is counted in."""

from typing import NewType

#: The MPI rank of a process, 0…N−1.
Rank = NewType("Rank", int)

#: The position of a segment in its file, from 0.
SegmentIndex = NewType("SegmentIndex", int)

#: A request's number at its sender; free again once the request was answered. It is also the
#: slot of the buffer that waits for the payload.
Ticket = NewType("Ticket", int)

#: The raw bytes that name a segment's content: the output of a hash function, or, for a declared
#: segment, the text that stands in the scenario file.
Digest = bytes

#: The most requests that one downloader may have unanswered (an MPI tag carries the ticket).
MAX_TICKETS = 1000

#: The content of a segment on its way.
Payload = bytes | bytearray | memoryview
