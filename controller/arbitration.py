"""Who writes to a switch: the client's side of P4Runtime arbitration (specification, 5), pure.

A switch obeys the primary: the controller with the highest election id ever seen. A controller
started second finds its id in use, bids one less and becomes backup; when the primary goes, the
switch says so (NOT_FOUND) and the backup bids the highest id, which makes it primary.
"""

from __future__ import annotations

from finsy import GRPCStatusCode
from finsy.pbutil import PBMessage
from finsy.proto import U128, p4r

ELECTION_ID = 1000
"""First bid. Tools that only want to read bid less (p4runtime-shell: --election-id 0,1)."""


class Arbitration:
    """The state of one controller at one switch."""

    def __init__(self, device_id: int, election_id: int = ELECTION_ID):
        self.device_id = device_id
        self.election_id = self._first = election_id
        self.is_primary = False

    def bid(self) -> p4r.StreamMessageRequest:
        """Return the message that asks to be primary."""
        update = p4r.MasterArbitrationUpdate(
            device_id=self.device_id, election_id=U128.encode(self.election_id)
        )
        return p4r.StreamMessageRequest(arbitration=update)

    def take(self, update: p4r.MasterArbitrationUpdate) -> p4r.StreamMessageRequest | None:
        """Take the switch's notification in; return the next bid if there is no primary."""
        self.is_primary = update.status.code == GRPCStatusCode.OK
        if update.status.code != GRPCStatusCode.NOT_FOUND:
            return None
        self.election_id = max(self.election_id, U128.decode(update.election_id))
        return self.bid()

    def yield_id(self) -> None:
        """Bid one less next time: another controller has this election id."""
        self.election_id = max(self.election_id - 1, 1)

    def reset(self) -> None:
        """Forget what the last connection brought, the election id too."""
        self.election_id = self._first
        self.is_primary = False

    def complete(self, message: PBMessage) -> None:
        """Add the election id to a request that needs it."""
        if isinstance(message, (p4r.WriteRequest, p4r.SetForwardingPipelineConfigRequest)):
            message.election_id.CopyFrom(U128.encode(self.election_id))
