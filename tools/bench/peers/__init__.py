"""The programs that are measured. The first is the one that the others are compared with."""

from tools.bench.peer import Peer
from tools.bench.peers.borg import Borg
from tools.bench.peers.packstore import Packstore
from tools.bench.peers.restic import Restic

PEERS: tuple[type[Peer], ...] = (Packstore, Restic, Borg)
