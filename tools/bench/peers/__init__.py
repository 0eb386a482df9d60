"""The programs that are measured. The first is the one that the others are compared with."""

from tools.bench.peer import Peer
from tools.bench.peers.backy2 import Backy2
from tools.bench.peers.benji import Benji
from tools.bench.peers.borg import Borg, BorgBuzhash
from tools.bench.peers.packstore import Packstore
from tools.bench.peers.restic import Restic, ResticDebian

PEERS: tuple[type[Peer], ...] = (Packstore, Borg, BorgBuzhash, Restic, ResticDebian, Benji, Backy2)
