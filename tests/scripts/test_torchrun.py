"""Several processes, as `torchrun` starts them: stage one gives the same bits as one, stage two the same losses."""

import json
import os
import shutil
import signal
import subprocess
import sys

import processes
import pytest
import torch
from conftest import REHEARSAL, SPLIT, TINY
from processes import ROOT, call_of, contents, differences, team, team_environment
from torch import nn

from datasets.augment import Transform
from datasets.batches import Batches, Part
from models import EDENet, resnet18
from utils.distributed import ALONE, Team
from utils.errors import UserError
from utils.global_norm import GlobalBatchNorm2d, global_statistics
from utils.mixup import mixup
from utils.randomness import StepRandom
from utils.recipes import Settings
from utils.run import Run
from utils.updates import Optimisation, Updates

# Adam makes of a gradient near zero, whose sign rounding decides, a step as long as any other. So the processes' losses
# are compared at a rate at which such steps do not show after a few dozen updates.
RATE = {"finetune_lr": 1e-5}
LOSSES = {"rel": 1e-4, "abs": 1e-5}


def call(stand_in, root, **more) -> str:
    return call_of("train_model", **SPLIT, **TINY | RATE, data_root=str(stand_in), checkpoint_root=str(root), **more)


def ended(scripts) -> list[int]:
    return [script.wait() for script in scripts]


# --- the arithmetic, without processes


@pytest.mark.parametrize(("rows", "size"), [(8, 2), (7, 2), (8, 3), (5, 5)])
def test_every_row_of_a_batch_is_one_processes(rows, size):
    batch = torch.arange(rows)
    parts = [Team(rank, size).rows(batch) for rank in range(size)]
    assert sorted(torch.cat(parts).tolist()) == batch.tolist()
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(("rows", "size"), [(8, 2), (7, 2), (8, 3)])
def test_the_mean_of_the_weighed_losses_is_the_loss_of_the_whole_batch(rows, size):
    torch.manual_seed(0)
    batches = Batches([Part(torch.randint(0, 256, (9, 3, 8, 8), dtype=torch.uint8), torch.arange(9) % 3, rows,
                            Transform(1))], 1, key=(0,))  # fmt: skip
    model = resnet18(3, (2, 2, 2, 2), seed=0).eval()

    def loss(team: Team) -> float:
        return mixup(3, 0.75, team)(model, batches.draw(0), StepRandom("cpu", 0)).loss.item()

    parts = [loss(Team(rank, size)) for rank in range(size)]
    assert sum(parts) / size == pytest.approx(loss(ALONE), rel=1e-5)


def test_tasks_are_dealt_out_one_by_one(tmp_path):
    run = Run(tmp_path, Settings(device="cpu"), 1, {}, sharing="tasks")
    shares = []
    for rank in range(3):
        run.team = Team(rank, 3)
        shares.append(run.share(["a", "b", "c", "d"]))
    assert shares == [["a", "d"], ["b"], ["c"]]


def test_what_is_not_shared_is_refused_under_torchrun(tmp_path, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="one process: start the script without torchrun"):
        Run(tmp_path, Settings(device="cpu"), 1, {})


# --- batch-norm over all processes


def _norm_in_a_process(environment: dict, rank: int, source: str, result: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(environment)
    team = Team(rank, 2, rank)
    team.join()
    content = torch.load(source, weights_only=True)
    x = team.rows(content["x"]).clone().requires_grad_()
    model = nn.Sequential(_norm(content))
    with global_statistics(model, team):
        assert isinstance(model[0], GlobalBatchNorm2d)
        y = model(x)
        (y * team.rows(content["weights"])).sum().backward()
    norm = model[0]
    gradients = [parameter.grad for parameter in norm.parameters()]
    torch.save({"y": y.detach(), "x": x.grad, "parameters": gradients, "state": norm.state_dict()}, result)
    team.meet()


def _norm(content: dict) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(5)
    norm.load_state_dict(content["state"])
    return norm


def test_batch_norm_over_processes_is_that_of_the_whole_batch(tmp_path):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(5)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    x = torch.randn(7, 5, 4, 4) * 3 + 2  # 4 rows and 3 rows
    source = {"x": x, "weights": torch.randn(7, 5, 4, 4), "state": norm.state_dict()}
    torch.save(source, tmp_path / "source")
    expected = _norm(torch.load(tmp_path / "source", weights_only=True))
    x.requires_grad_()
    y = expected(x)
    (y * source["weights"]).sum().backward()

    started = [
        processes.start(_norm_in_a_process, environment, rank, str(tmp_path / "source"), str(tmp_path / f"{rank}"))
        for rank, environment in enumerate(team_environment(2))
    ]
    for process in started:
        process.join(processes.PATIENCE)
        assert process.exitcode == 0
    found = [torch.load(tmp_path / f"{rank}", weights_only=True) for rank in range(2)]
    for rank, each in enumerate(found):
        assert torch.allclose(each["y"], y[rank::2], atol=1e-5)
        assert torch.allclose(each["x"], x.grad[rank::2], atol=1e-5)
        for name, value in expected.state_dict().items():
            assert torch.allclose(each["state"][name], value, atol=1e-6), name
    for index, parameter in enumerate(expected.parameters()):
        # Each process has the gradient of its own rows: DistributedDataParallel brings them together.
        assert torch.allclose(found[0]["parameters"][index] + found[1]["parameters"][index], parameter.grad, atol=1e-4)


def test_names_and_weights_stay_in_place():
    model = resnet18(3, (2, 2, 2, 2), seed=0)
    before = [(name, id(value)) for name, value in model.named_parameters()]
    kinds = [type(module) for module in model.modules()]
    with global_statistics(model, Team(0, 2)):
        assert [(name, id(value)) for name, value in model.named_parameters()] == before
        assert sum(isinstance(module, GlobalBatchNorm2d) for module in model.modules()) == 20
        model.eval()
    assert [type(module) for module in model.modules()] == kinds
    assert not any(module.training for module in model.modules())


# --- one update


def _gradient(team: Team) -> tuple[float, torch.Tensor]:
    """Loss and gradient of the first update of a joined network on a batch of 15 rows.

    In float64: in float32 a value near zero may round to either side of a ReLU's kink.
    """
    images = torch.randint(0, 256, (20, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    batches = Batches([Part(images, torch.arange(20) % 4, 15, Transform())], 1, key=(0,))
    net = EDENet(resnet18(2, (4, 4, 4, 4), seed=seed) for seed in range(2)).train().double()
    with global_statistics(net, team):
        updates = Updates(net, batches, mixup(4, 0.75, team), Optimisation(1e-3, 0.0, 1e9, "off"), team)
        loss = team.mean(updates.update(0, 0.0))
    return loss.item(), torch.cat([parameter.grad.flatten() for parameter in net.parameters()])


def _gradient_in_a_process(environment: dict, rank: int, result: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(environment)
    team = Team(rank, 2, rank)
    team.join()
    torch.save(_gradient(team), result)
    team.meet()


def test_an_update_on_two_processes_has_the_gradient_of_the_whole_batch(tmp_path):
    started = [
        processes.start(_gradient_in_a_process, environment, rank, str(tmp_path / f"{rank}"))
        for rank, environment in enumerate(team_environment(2))
    ]
    for process in started:
        process.join(processes.PATIENCE)
        assert process.exitcode == 0
    loss, gradient = _gradient(ALONE)
    for rank in range(2):
        each, its = torch.load(tmp_path / f"{rank}", weights_only=True)
        assert each == pytest.approx(loss, rel=1e-5)
        assert torch.allclose(its, gradient, rtol=1e-5, atol=1e-9)


# --- both stages


@pytest.fixture(scope="module")
def alone(stand_in, tmp_path_factory):
    """Both stages in one process each."""
    root = tmp_path_factory.mktemp("alone")
    processes.run(root / "output", "train_classifier.py", call(stand_in, root / "run"))
    stage_one = contents(root / "run")
    processes.run(root / "output", "train_EDE_Net.py", call(stand_in, root / "run", rehearsal_size=REHEARSAL))
    return root / "run", stage_one


def test_stage_one_on_two_processes_gives_the_same_bits(alone, stand_in, tmp_path):
    scripts = team(tmp_path, "train_classifier.py", call(stand_in, tmp_path / "run"))
    assert ended(scripts) == [0, 0], [script.err for script in scripts]
    assert "task 0to3" in scripts[0].out
    assert "task 6to9" in scripts[0].out
    assert "task 3to6" in scripts[1].out
    assert "# Stage one" in scripts[0].out
    assert "# Stage one" not in scripts[1].out
    found = contents(tmp_path / "run")
    folder = "classifier_cifar100_s0-t3_resnet18_mixmatch"
    extra = {f"{folder}/log_1.txt", f"{folder}/.lock_1"}
    assert extra <= found.keys()
    assert differences({name: each for name, each in found.items() if name not in extra}, alone[1]) == []


def losses(root) -> list:
    [path] = root.glob(f"EDE_Net_*_{REHEARSAL}/results.json")
    return [entry["loss"] for stage in json.loads(path.read_text())["history"] for entry in stage]


def copied(alone, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(alone[0], root, ignore=shutil.ignore_patterns("EDE_Net*"))
    return root


@pytest.mark.parametrize("count", [2, 3])
def test_stage_two_on_several_processes_has_the_same_losses(alone, stand_in, tmp_path, count):
    root = copied(alone, tmp_path)
    scripts = team(tmp_path, "train_EDE_Net.py", call(stand_in, root, rehearsal_size=REHEARSAL), count)
    assert ended(scripts) == [0] * count, [script.err for script in scripts]
    assert losses(root) == pytest.approx(losses(alone[0]), **LOSSES)
    # One process writes, and the same files as one process alone.
    assert contents(root).keys() == contents(alone[0]).keys()
    assert [bool(script.out) for script in scripts] == [True] + [False] * (count - 1)


def test_when_a_process_dies_the_others_stop_and_the_same_command_goes_on(alone, stand_in, tmp_path):
    root = copied(alone, tmp_path)
    again = call(stand_in, root, rehearsal_size=REHEARSAL)
    first, second = team(tmp_path / "first", "train_EDE_Net.py", again)
    assert first.after(1)
    second.signal(signal.SIGKILL)
    assert ended([first, second]) == [2, -signal.SIGKILL], first.err
    assert "another process of this job has ended" in first.err
    assert len(first.err.strip().splitlines()) == 1
    scripts = team(tmp_path / "again", "train_EDE_Net.py", again)
    assert ended(scripts) == [0, 0], [script.err for script in scripts]
    assert losses(root) == pytest.approx(losses(alone[0]), **LOSSES)


def test_processes_that_are_told_to_stop_do_so_at_the_same_step(alone, stand_in, tmp_path):
    root = copied(alone, tmp_path)
    scripts = team(tmp_path / "first", "train_EDE_Net.py", call(stand_in, root, rehearsal_size=REHEARSAL))
    assert scripts[0].after(1)
    scripts[1].signal(signal.SIGTERM)  # one alone: the other stops with it
    assert ended(scripts) == [143, 143], [script.err for script in scripts]
    assert "saved after" in scripts[0].err
    scripts = team(tmp_path / "again", "train_EDE_Net.py", call(stand_in, root, rehearsal_size=REHEARSAL))
    assert ended(scripts) == [0, 0], [script.err for script in scripts]
    assert "goes on from epoch" in scripts[0].out
    assert losses(root) == pytest.approx(losses(alone[0]), **LOSSES)


def test_more_processes_than_rows_of_a_batch_are_refused(alone, stand_in, tmp_path):
    root = copied(alone, tmp_path)
    text = call(stand_in, root, rehearsal_size=REHEARSAL).replace("finetune_batch_size=16", "finetune_batch_size=2")
    scripts = team(tmp_path, "train_EDE_Net.py", text, 3)
    assert ended(scripts) == [2, 2, 2]
    assert "a batch of 2 images cannot be shared by 3 processes" in scripts[0].err


def test_one_gpu_for_several_processes_is_refused(tmp_path, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match='device="cuda:0" is one GPU for 2 processes'):
        Run(tmp_path, Settings(device="cuda:0"), 2, {}, sharing="batches")


def test_torchrun_itself_runs_stage_two(alone, stand_in, tmp_path):
    root = copied(alone, tmp_path)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "train_EDE_Net.py"]
    text = call(stand_in, root, rehearsal_size=REHEARSAL)
    # One thread each, as in the run that it is compared with.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, text], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert losses(root) == pytest.approx(losses(alone[0]), **LOSSES)
