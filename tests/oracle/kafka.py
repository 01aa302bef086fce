"""Which partition a key goes to: Kafka's murmur2 and default partitioner, from the published algorithm."""

M = 0x5BD1E995
MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """32 bits, unsigned."""
    hashed = 0x9747B28C ^ len(data)
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little")
        k = (k * M) & MASK
        k ^= k >> 24
        k = (k * M) & MASK
        hashed = ((hashed * M) & MASK) ^ k
    tail = data[whole:]
    if tail:
        hashed ^= int.from_bytes(tail, "little")
        hashed = (hashed * M) & MASK
    hashed ^= hashed >> 13
    hashed = (hashed * M) & MASK
    hashed ^= hashed >> 15
    return hashed


def partition(key: str, partitions: int) -> int:
    return (murmur2(key.encode("utf-8")) & 0x7FFFFFFF) % partitions
