"""Other channels for a job that lives: its streams, their number and the grid of its lines stay what they are."""

from collections.abc import Sequence

from focus_server.analyzer.configure import check_row
from focus_server.analyzer.cost import Load, cores
from focus_server.analyzer.job import Job, JobRecord
from focus_server.contract import Channels, Refusal, request_bins, stream_groups, stream_index


def with_channels(record: JobRecord, roi: Channels) -> JobRecord:
    """Give the record of the same job with these channels. Raises `Refusal` for channels that it cannot have."""
    amount, fibre = record.answer.stream_amount, record.fibre.channels
    if not 1 <= roi.min <= roi.max <= fibre:
        raise Refusal(400, f"A ROI's start and end are channels from 1 to {fibre}, start not above end.", "channels")
    if roi.amount < amount:
        raise Refusal(
            400, f"The job has {amount} streams, which is more than the {roi.amount} channels of the ROI.", "channels"
        )
    wanted = record.request.model_copy(update={"channels": roi})
    check_row(wanted, request_bins(wanted, record.fibre.fs), amount)
    answer = record.answer.model_copy(
        update={
            "channel_to_stream_index": stream_index(stream_groups(roi.min, roi.max, amount)),
            "channel_amount": roi.amount,
        }
    )
    return record.model_copy(update={"schema_version": 3, "roi": roi, "answer": answer})


def check_cost(job: Job, roi: Channels, others: Sequence[Load], budget_cores: float) -> None:
    """Refuse channels that cost more than all jobs together may, unless those that the job has cost no less.

    `others` are the loads of the other jobs that live.
    """
    fs = float(job.fibre.fs)
    before = cores([*others, job.load], fs)
    after = cores([*others, Load(job.grid, roi.min, roi.max)], fs)
    if after > max(budget_cores, before):
        raise Refusal(
            503,
            f"With these {roi.amount} channels all jobs together would use {after:.2f} of the {budget_cores:g} "
            "processor cores that they may use; ask for fewer.",
            "capacity",
        )
