"""Look at a place that a damage record speaks of: is it bad here, in this copy of the repository?

FORMAT.md section 10.1.
Before: packs.reader. After: repository.repository.
"""

from packstore.codec.objectcodec import ObjectCodec
from packstore.errors import FormatError, NameNotFound, StorageError
from packstore.format.pack import PackType
from packstore.format.record import HEADER_BYTES, decode_record, record_size
from packstore.ids import PackId
from packstore.index.objectindex import ObjectIndex
from packstore.packs.names import pack_name
from packstore.packs.reader import Owner, read_seal
from packstore.repository.documents import require_reachable
from packstore.storage.base import Storage


def is_bad_here(
    storage: Storage, index: ObjectIndex, owner: Owner, codec: ObjectCodec, pack_id: PackId, offset: int
) -> bool | None:
    """Say whether the record at `offset`, or for 0 the pack's seal, is not whole; None if the pack is not here.

    Raises:
        StorageGone: the whole repository is out of reach.
    """
    pack_type = PackType.META if index.meta_state(pack_id) else PackType.BLOCKS
    name = pack_name(pack_type, pack_id)
    try:
        if offset == 0:
            read_seal(storage, pack_type, pack_id, owner)
        else:
            size = record_size(storage.read(name, offset, HEADER_BYTES))
            codec.decode(*decode_record(storage.read(name, offset, size)))
    except NameNotFound:
        return None
    except FormatError:
        return True
    except StorageError:
        require_reachable(storage)
        return True
    return False
