"""Takes one block out of the analyzer's queue: a real loss between broker and analyzer."""

import aio_pika
import anyio

THEFT_WITHIN_S = 60.0


async def steal_one_block(url: str, queue_name: str, group: int) -> int:
    """Consume beside the analyzer until a block of the group comes this way; keep it, and return its `seq`.

    Blocks of other groups go back into the queue, from where they come late but in time.
    """
    with anyio.fail_after(THEFT_WITHIN_S):
        connection = await aio_pika.connect(url)
        async with connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=1)
            queue = await channel.get_queue(queue_name, ensure=False)
            async with queue.iterator() as messages:
                async for message in messages:
                    if message.routing_key is not None and message.routing_key.endswith(f".{group}"):
                        sequence = message.headers["seq"]
                        await message.ack()
                        if not isinstance(sequence, int):
                            raise TypeError(f"a block's seq is {sequence!r}")
                        return sequence
                    await message.nack(requeue=True)
    raise RuntimeError("the queue's consumer ended before a block came")
