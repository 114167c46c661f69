"""``provost estimate``: what it says of servers, of a CPU, and of stages that have one process."""

import json

from click.testing import CliRunner

from workflows.commands.estimate import estimate

GIB = 1 << 30
SERVED = (
    "student_precision=bf16,sampling.engine=vllm,sampling.vllm.url=http://127.0.0.1:8000,"
    "sampling.vllm.served_model=m,sampling.vllm.weights_folder="
)


def asked(*words):
    """Return exit status and document of a question."""
    result = CliRunner().invoke(estimate, [*words, "--json"])
    return result.exit_code, json.loads(result.stdout)


def of_8b(*words, settings):
    return asked(
        *("--student", "qwen3-8b", "--teachers", "4", "--flavor", "h100", "--settings", settings),
        *words,
    )


def test_a_cpu_has_a_time_too():
    _, said = asked("--student", "smollm2-135m", "--teachers", "1", "--flavor", "cpu")
    [layout] = said["layouts"]
    assert layout["seconds"] == 120 * sum(layout["seconds_a_step"].values()) > 0
    assert layout["seconds_a_step"]["network"] == 0


def test_servers_take_time_gpus_and_shared_memory():
    _, here = of_8b(settings="student_precision=bf16")
    _, disk = of_8b(settings=f"{SERVED}/mnt/weights")
    _, memory = of_8b(settings=f"{SERVED}/dev/shm/weights")
    own, on_disk, in_memory = (said["layouts"][0] for said in (here, disk, memory))
    assert on_disk["gpus_of_servers"] == 1
    assert own["gpus_of_servers"] == 0
    # One server instead of sixteen ranks.
    assert on_disk["seconds_a_step"]["sampling"] > 4 * own["seconds_a_step"]["sampling"]
    assert on_disk["received_bytes_a_step"] > own["received_bytes_a_step"]
    assert in_memory["gpus_of_servers"] == 1


def test_a_student_of_70_b_fits_with_adapters_servers_and_shared_teachers():
    settings = f"{SERVED}/mnt/weights,student_adapter_rank=16,placement=sharded"
    question = [
        "--student",
        "llama-3.1-70b",
        "--teachers",
        "4",
        "--flavor",
        "h100",
        "--ranks",
        "64",
    ]
    code, said = asked(*question, "--settings", settings)
    [layout] = said["layouts"]
    assert layout["missing"] == []
    assert layout["device_bytes"] < 40 * GIB
    # The round fits, and the gate does not: two models of 141 GB on one GPU.
    assert code == 1
    gate, _ = said["alone"]
    assert gate["bytes"] > 2 * 141e9 > gate["limit_bytes"]
    assert "gate_probe" in said["refusal"]
    fits = f"{settings},gate_prompts_per_domain=0,loop.saved_precision=bf16"
    code, said = asked(*question, "--settings", fits)
    assert code == 0
    assert said["refusal"] == ""
    assert [each["stage"] for each in said["alone"]] == ["evaluation"]
