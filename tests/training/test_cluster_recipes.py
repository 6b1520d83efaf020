"""recipes/cluster: the SLURM script by a stub of `srun`, the Kubernetes manifest by its schemas."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from incoder.training.metrics import read_metrics

CLUSTER = Path(__file__).parents[2] / "recipes" / "cluster"
SCRIPT = CLUSTER / "slurm.sh"

# Two machines that are one: the tasks of a job step run beside each other, and srun passes SIGTERM on.
SRUN = """
trap 'kill -TERM $first $second' TERM
while [[ $1 == --* ]]; do shift; done
"$@" & first=$!
"$@" & second=$!
status=0
for one in "$first" "$second"; do
  while kill -0 "$one" 2>/dev/null; do wait "$one" && code=0 || code=$?; done
  ((code)) && status=$code
done
exit "$status"
"""


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """The environment of a job, with stubs of SLURM's commands that come first in PATH."""
    stubs = {
        "scontrol": "echo localhost; sleep 0.1; echo other || exit 1",
        "srun": SRUN,
        "torchrun": f'exec {sys.executable} -m torch.distributed.run "$@"',
    }
    (tmp_path / "bin").mkdir()
    for name, text in stubs.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/usr/bin/env bash\n{text}\n")
        path.chmod(0o755)
    job = {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "machine[1-2]",
        "GPUS_PER_MACHINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return os.environ | job | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}


def test_the_slurm_script_starts_one_launcher_a_machine_that_all_meet_at_the_first(
    tmp_path: Path, slurm: dict[str, str]
) -> None:
    (tmp_path / "bin" / "srun").write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    done = subprocess.run(
        ["bash", str(SCRIPT), "a recipe.toml", "out", "--set", "training.seed=1"],
        env=slurm,
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.splitlines()
    command = words[words.index("torchrun") :]
    options = dict(zip(command[1:17:2], command[2:17:2], strict=False))
    assert options["--nnodes"] == "2"
    assert options["--nproc-per-node"] == "1"
    assert options["--rdzv-endpoint"].startswith("localhost:")
    assert int(options["--max-restarts"]) >= 3
    assert int(options["--shutdown-timeout"]) >= 600
    assert command[command.index("-m") :] == [
        *(
            "-m",
            "incoder",
            "train",
            "a recipe.toml",
            "--output",
            "out",
            "--resume",
            "--set",
            "training.seed=1",
        )
    ]


def test_the_slurm_script_without_a_recipe_says_how_it_is_used(slurm: dict[str, str]) -> None:
    done = subprocess.run(["bash", str(SCRIPT)], env=slurm, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: sbatch")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_machines_train_by_the_slurm_script_and_save_when_the_time_is_up(
    tmp_path: Path, slurm: dict[str, str], recipe_file: Path
) -> None:
    run = tmp_path / "run"
    command = ["bash", str(SCRIPT), str(recipe_file), str(run), "--device", "cpu"]
    many = ["--set", "training.steps=100000", "--set", "training.checkpoint_every=100000"]
    process = subprocess.Popen([*command, *many], env=slurm, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not read_metrics(run / "metrics.jsonl") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)  # B:TERM, to the script alone
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "stopped after step" in errors
    steps = read_metrics(run / "metrics.jsonl")[-1]["step"] + 1
    assert [path.name for path in (run / "checkpoints").iterdir()] == [f"step-{steps:08d}"]
    worlds = [json.loads(path.read_text())["world_size"] for path in (run / "ranks").glob("*[0-9].json")]
    assert worlds == [2, 2]
    more = ["--set", f"training.steps={steps + 2}", "--set", "training.checkpoint_every=100000"]
    subprocess.run([*command, *more], env=slurm, check=True, timeout=300, capture_output=True)
    assert [row["step"] for row in read_metrics(run / "metrics.jsonl")] == [*range(steps + 2)]


# What JobSet's own resource definition asks of the fields that the manifest has (jobset.x-k8s.io/v1alpha2).
JOB_SET: dict[str, Any] = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "jobset.x-k8s.io/v1alpha2"},
        "kind": {"const": "JobSet"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "required": ["replicatedJobs"],
            "additionalProperties": False,
            "properties": {
                "network": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "enableDNSHostnames": {"type": "boolean"},
                        "subdomain": {"type": "string"},
                        "publishNotReadyAddresses": {"type": "boolean"},
                    },
                },
                "failurePolicy": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"maxRestarts": {"type": "integer", "minimum": 0}},
                },
                "replicatedJobs": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["name", "template"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
                            "replicas": {"type": "integer", "minimum": 0},
                            "template": {
                                "type": "object",
                                "additionalProperties": False,
                                "properties": {"metadata": {"type": "object"}, "spec": {"type": "object"}},
                            },
                        },
                    },
                },
            },
        },
    },
}


@pytest.fixture
def job_set() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    loaded: dict[str, Any] = yaml.safe_load((CLUSTER / "jobset.yaml").read_text(encoding="utf-8"))
    return loaded


def check_job_set(job_set: dict[str, Any]) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(job_set, JOB_SET)
    for replicated in job_set["spec"]["replicatedJobs"]:
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, **replicated["template"]}
        kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)


def test_the_manifest_is_a_job_set_whose_jobs_kubernetes_knows(job_set: dict[str, Any]) -> None:
    check_job_set(job_set)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("backoffLimitt",), 0),
        (("template", "spec", "containers", 0, "comand"), []),
        (("template", "spec", "restartPolicy"), 3),
        (("template", "spec", "containers", 0, "ports", 0, "containerPort"), "29400"),
    ],
)
def test_a_mistake_in_the_manifest_is_found(
    job_set: dict[str, Any], path: tuple[str | int, ...], value: object
) -> None:
    target: Any = job_set["spec"]["replicatedJobs"][0]["template"]["spec"]
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(Exception, match=r"\w"):
        check_job_set(job_set)


def test_the_manifest_s_pods_are_the_machines_that_its_launchers_wait_for(job_set: dict[str, Any]) -> None:
    replicated = job_set["spec"]["replicatedJobs"][0]
    job = replicated["template"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    assert job["parallelism"] == job["completions"] == int(variables["NUM_MACHINES"])
    assert job["completionMode"] == "Indexed", "each pod has a host name"
    options = dict(word.split("=", 1) for word in container["command"] if "=" in word)
    assert options["--nproc-per-node"] == container["resources"]["limits"]["nvidia.com/gpu"]
    host, port = options["--rdzv-endpoint"].split(":")
    name = job_set["metadata"]["name"]
    assert host == f"{name}-{replicated['name']}-0-0.{name}"
    assert int(port) == container["ports"][0]["containerPort"]
    assert int(options["--shutdown-timeout"]) <= pod["terminationGracePeriodSeconds"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
