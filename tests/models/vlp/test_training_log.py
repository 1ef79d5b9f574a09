from pathlib import Path

from models.vlp.training_log import StepLog, TrainingLog, read_log


def entry(step: int) -> StepLog:
    return StepLog(step, 9, 0.5 / step, 1e-3, 0.1 * step, {"image_to_text": 0.25})


def test_training_log_round_trips(tmp_path: Path) -> None:
    with TrainingLog(tmp_path / "log.jsonl", 0) as log:
        for step in (1, 2, 3):
            log.append(entry(step))
            assert len(read_log(tmp_path / "log.jsonl")) == step  # readable while it grows
    assert read_log(tmp_path / "log.jsonl") == [entry(1), entry(2), entry(3)]


def test_training_log_resumed_drops_what_is_done_again(tmp_path: Path) -> None:
    with TrainingLog(tmp_path / "log.jsonl", 0) as log:
        for step in (1, 2, 3):
            log.append(entry(step))
    with TrainingLog(tmp_path / "log.jsonl", 2) as log:
        assert log.seconds_before == entry(2).seconds
        log.append(entry(3))
    assert [line.step for line in read_log(tmp_path / "log.jsonl")] == [1, 2, 3]


def test_read_log_leaves_out_a_line_cut_by_a_kill(tmp_path: Path) -> None:
    with TrainingLog(tmp_path / "log.jsonl", 0) as log:
        log.append(entry(1))
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 2, "num_st')
    assert read_log(tmp_path / "log.jsonl") == [entry(1)]


def test_read_log_without_file_is_empty(tmp_path: Path) -> None:
    assert read_log(tmp_path / "log.jsonl") == []
