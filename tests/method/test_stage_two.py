"""Stage two: joined logits, a balanced mixture, and an exemplar memory that is all there is of the old classes."""

import copy
import shlex
import shutil
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

import train_classifier
import train_EDE_Net
from datasets import catalog
from datasets.augment import Transform
from datasets.image_set import ImageSet
from datasets.rehearsal import RehearsalMemory, herding_order, random_order, require_room
from datasets.stream import Images, OutOfReach, TaskStream, hold_out
from models import EDENet, resnet18
from utils import checkpoint, command, recipes, stage_two
from utils.errors import UserError
from utils.finetune import balanced_batches
from utils.run import Run

pytestmark = pytest.mark.usefixtures("without_figures")

STILL = Transform(padding=0, degrees=0.0, flip=False)
ORDER = [4, 1, 5, 0, 3, 2]  # class numbers in the order of learning
SPLIT = [0, 2, 4, 6]


def image_set(per_class, classes=6, seed=0):
    """Images whose first pixel is their row in the file; the classes shuffled."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat(per_class)[torch.randperm(classes * per_class, generator=generator)]
    images = torch.randint(0, 256, (len(labels), 3, 32, 32), generator=generator).byte()
    images[:, 0, 0, 0] = torch.arange(len(labels))
    names = tuple(f"class {number}" for number in range(classes))
    return ImageSet("cifar100", images, labels, names, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), mirror=True)


@pytest.fixture
def stream():
    return TaskStream(image_set(12), image_set(4, seed=1), ORDER, SPLIT)


def state_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same_state(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# --- the joined network


def test_logits_are_the_sub_models_logits_one_after_the_other():
    submodels = [resnet18(classes, (2, 3, 4, 5), seed=classes).eval() for classes in (3, 2, 4)]
    net, x = EDENet(submodels).eval(), torch.rand(5, 3, 32, 32)
    logits = net(x)
    assert logits.shape == (5, 9)
    for task, (submodel, offset) in enumerate(zip(submodels, (0, 3, 5), strict=True)):
        assert net.offset(task) == offset
        assert torch.equal(logits[:, offset : offset + submodel.num_classes], submodel(x))


def test_growing_keeps_the_outputs_of_the_tasks_before():
    net, x = EDENet([resnet18(3, (2, 3, 4, 5), seed=0)]).eval(), torch.rand(5, 3, 32, 32)
    before = net(x)
    net.grow(resnet18(2, (3, 3, 3, 3), seed=1).eval())
    assert torch.equal(net(x)[:, :3], before)
    assert (net.num_classes, net.classes_per_task, net.offset(1)) == (5, [3, 2], 3)


def test_features_are_side_by_side():
    submodels = [resnet18(3, (2, 3, 4, 5), seed=0).eval(), resnet18(2, (2, 3, 4, 7), seed=1).eval()]
    x = torch.rand(4, 3, 32, 32)
    expected = torch.cat([submodel.features(x) for submodel in submodels], dim=1)
    assert torch.equal(EDENet(submodels).features(x), expected)
    assert expected.shape == (4, 12)


def test_every_sub_model_is_in_the_state_and_among_the_parameters():
    submodels = [resnet18(3, (2, 3, 4, 5), seed=0), resnet18(2, (2, 3, 4, 5), seed=1)]
    net = EDENet(submodels)
    net.grow(resnet18(4, (2, 3, 4, 5), seed=2))
    assert len(net.state_dict()) == 3 * len(submodels[0].state_dict())
    assert len(list(net.parameters())) == 3 * len(list(submodels[0].parameters()))


# --- the balanced mixture


def pool(labels):
    """One image for each label, whose pixels say which row it is."""
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 8).contiguous()
    return Images(images, torch.tensor(labels), torch.arange(len(labels)))


@pytest.mark.parametrize(
    ("old", "new", "size", "expected"), [(10, 10, 64, 32), (50, 10, 60, 50), (5, 15, 64, 16), (90, 10, 64, 58)]
)
def test_a_batch_holds_exemplars_and_current_images_in_proportion_to_their_classes(old, new, size, expected):
    exemplars, current = pool([*range(old)] * 2), pool([old + label for label in range(new)] * 9)
    drawing = balanced_batches(exemplars, old, current, new, size, STILL, (0,))
    for number in range(6):
        rows = drawing.draw(number)
        labels = torch.cat([part.labels for part in rows])
        assert len(labels) == size
        assert int((labels < old).sum()) == expected == round(size * old / (old + new))


def test_every_class_is_seen_equally_often():
    exemplars, current = pool([*range(4)] * 3), pool([4, 5] * 20)
    drawing = balanced_batches(exemplars, 4, current, 2, 12, STILL, (0,))
    times = Counter()
    for number in range(30):
        times.update(torch.cat([part.labels for part in drawing.draw(number)]).tolist())
    assert times == dict.fromkeys(range(6), 60)


@pytest.mark.parametrize(("exemplars", "size"), [(12, 12), (10, 12), (7, 64), (33, 16)])
def test_an_epoch_is_one_pass_over_the_exemplars(exemplars, size):
    old = pool([number % 4 for number in range(exemplars)])
    drawing = balanced_batches(old, 4, pool([4, 5] * 20), 2, size, STILL, (0,))
    first = [drawing.draw(number)[0].views[0][:, 0, 0, 0] * 255 for number in range(drawing.steps_per_epoch)]
    assert set(torch.cat(first).round().int().tolist()) == set(range(exemplars)), "all of them"
    rows = len(first[0])
    assert (drawing.steps_per_epoch - 1) * rows < exemplars <= drawing.steps_per_epoch * rows, "and no second time"


@pytest.mark.parametrize(("old", "new"), [(99, 1), (1, 99)])
def test_neither_kind_is_ever_left_out(old, new):
    exemplars, current = pool([*range(old)]), pool([old + label for label in range(new)])
    for rows in balanced_batches(exemplars, old, current, new, 8, STILL, (0,)).draw(0):
        assert len(rows.labels) >= 1


# --- what is in reach


def test_only_the_task_begun_last_is_in_reach(stream):
    with pytest.raises(OutOfReach):
        stream.training_images(stream.tasks[0])
    for current in stream.tasks:
        stream.begin(current)
        for task in stream.tasks:
            if task == current:
                assert set(stream.training_images(task).labels.tolist()) == set(range(task.first, task.last))
            else:
                with pytest.raises(OutOfReach):
                    stream.training_images(task)


def test_labels_are_places_in_the_class_order(stream):
    train = image_set(12)
    for task in stream.tasks:
        stream.begin(task)
        images = stream.training_images(task)
        assert len(images) == 24
        for image, label, row in zip(images.images, images.labels.tolist(), images.indices.tolist(), strict=True):
            assert int(train.labels[row]) == ORDER[label]
            assert torch.equal(train.images[row], image)
        assert stream.class_names[task.first] == f"class {ORDER[task.first]}"


def rows_of(stream, label):
    return (image_set(12).labels == ORDER[label]).nonzero().flatten().tolist()


def test_exemplars_come_with_their_labels_in_the_order_of_the_memory(stream):
    lists = [rows_of(stream, 0)[3:6][::-1], rows_of(stream, 1)[:2]]
    stream.begin(stream.tasks[1])
    found = stream.exemplars(lists, size=5)
    assert found.indices.tolist() == lists[0] + lists[1]
    assert found.labels.tolist() == [0, 0, 0, 1, 1]
    assert found.images[:, 0, 0, 0].tolist() == lists[0] + lists[1]


def test_a_memory_that_is_more_than_it_says_is_out_of_reach(stream):
    zero, one, two = (rows_of(stream, label) for label in range(3))
    with pytest.raises(OutOfReach):
        stream.exemplars([zero[:1]], 9)  # before any task
    stream.begin(stream.tasks[0])
    for lists, size in [
        ([zero[:3], one[:3]], 5),  # more than its size
        ([one[:1], zero[:1]], 9),  # of another class
        ([zero[:1], one[:1], two[:1]], 9),  # of a class still to come
        ([[999]], 9),
        ([[-1]], 9),
    ]:
        with pytest.raises(OutOfReach):
            stream.exemplars(lists, size)


def test_a_class_without_images_is_named():
    train = image_set(12)
    lacking = replace(train, images=train.images[train.labels != 3], labels=train.labels[train.labels != 3])
    with pytest.raises(UserError, match="class 3"):
        TaskStream(lacking, image_set(4), ORDER, SPLIT)


def test_a_tenth_of_every_class_is_held_out_and_never_trained_on(stream):
    stream.begin(stream.tasks[0])
    images = stream.training_images(stream.tasks[0])
    kept, held = hold_out(images, 0.25, seed=0)
    assert Counter(held.labels.tolist()) == {0: 3, 1: 3}
    assert sorted(kept.indices.tolist() + held.indices.tolist()) == sorted(images.indices.tolist())
    assert not set(kept.indices.tolist()) & set(held.indices.tolist())
    assert hold_out(images, 0.25, 0)[1].indices.tolist() == held.indices.tolist()
    assert hold_out(images, 0.25, 1)[1].indices.tolist() != held.indices.tolist()


# --- the memory


def grown_memory(stream, size, **options):
    """The lists after every task, chosen as stage two does."""
    settings, memory, net, after = recipes.settings(**options), RehearsalMemory(size), EDENet(), []
    for task in stream.tasks:
        stream.begin(task)
        net.grow(resnet18(task.num_classes, (2, 3, 4, 5), seed=task.index))
        stage_two.remember(net.eval(), memory, stream, task, settings)
        after.append(copy.deepcopy(memory.lists))
    return after


@pytest.mark.parametrize("exemplars", ["random", "herding"])
@pytest.mark.parametrize("size", [6, 20, 31, 1000])
def test_lists_are_chosen_once_without_replacement_and_only_shrink_from_their_end(stream, exemplars, size):
    after = grown_memory(stream, size, exemplars=exemplars)
    for task, lists in zip(stream.tasks, after, strict=True):
        assert [len(chosen) for chosen in lists] == [min(12, size // task.last)] * task.last
        for label, chosen in enumerate(lists):
            assert len(set(chosen)) == len(chosen)
            assert set(chosen) <= set(rows_of(stream, label)), "inside its class, hence inside its task"
    for earlier, later in pairwise(after):
        for before, now in zip(earlier, later, strict=False):
            assert before[: len(now)] == now


def test_random_exemplars_depend_on_the_seed_and_not_on_the_memorys_size(stream):
    small, large, other = (grown_memory(stream, size, seed=seed)[0] for size, seed in [(8, 0), (20, 0), (8, 1)])
    assert small == [chosen[:4] for chosen in large]
    assert small != other
    assert small[0] != sorted(rows_of(stream, 0))[:4]


def test_a_class_never_gets_more_than_its_share():
    memory = RehearsalMemory(100)
    assert [memory.per_class(classes) for classes in (1, 3, 7, 100, 101)] == [100, 33, 14, 1, 0]


def test_an_exemplar_drawn_twice_is_refused(stream):
    stream.begin(stream.tasks[0])
    with pytest.raises(ValueError, match="twice"):
        RehearsalMemory(10).add_task(stream.training_images(stream.tasks[0]), [[0, 1], [2, 2]])


def test_a_random_order_is_a_permutation_by_key():
    assert sorted(random_order(9, (0, "a"))) == list(range(9))
    assert random_order(9, (0, "a")) == random_order(9, (0, "a")) != random_order(9, (1, "a"))


def slow_herding(features, count):
    """iCaRL, algorithm 4: p_k = argmin ‖μ − (φ(x) + Σ_{j<k} φ(p_j)) / k‖, every exemplar once."""
    rows = [[value / sum(v * v for v in row) ** 0.5 for value in row] for row in features.tolist()]
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    chosen = []
    for k in range(1, count + 1):
        distances = {}
        for candidate in set(range(len(rows))) - set(chosen):
            together = [sum(rows[j][d] for j in [*chosen, candidate]) / k for d in range(len(mean))]
            distances[candidate] = sum((m - t) ** 2 for m, t in zip(mean, together, strict=True))
        chosen.append(min(distances, key=distances.get))
    return chosen


@pytest.mark.parametrize("count", [1, 5, 20])
def test_herding_equals_a_slow_version(count):
    features = torch.rand(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert herding_order(features, count) == slow_herding(features, count)


def test_herding_takes_no_more_than_there_are():
    assert sorted(herding_order(torch.rand(4, 3), 9)) == [0, 1, 2, 3]


def test_herded_exemplars_are_herded_on_the_grown_networks_features(stream):
    lists = grown_memory(stream, 10, exemplars="herding")[0]
    stream.begin(stream.tasks[0])
    images = stream.training_images(stream.tasks[0])
    model = resnet18(2, (2, 3, 4, 5), seed=0).eval()
    for label in (0, 1):
        of_class = images.select(images.labels == label)
        with torch.no_grad():
            features = model.features(of_class.images / 255).double()
        assert lists[label] == [int(of_class.indices[row]) for row in slow_herding(features, 5)]


@pytest.mark.parametrize("size", [5, "2000", 2000.0, None, True, -1])
def test_a_memory_without_room_or_of_no_number_is_refused(size):
    with pytest.raises(UserError, match="rehearsal_size"):
        require_room(size, 6)


# --- fine-tuning


@pytest.fixture
def joined(stream, tmp_path):
    """A run at the beginning of fine-tuning on its second task: (run, network, memory)."""
    options = {"finetune_batch_size": 8, "finetune_epochs": 2, "finetune_lr": 1e-2, "amp": "off", "device": "cpu"}

    def begun(**more):
        settings = recipes.settings(**options, **more)
        memory, net = RehearsalMemory(10), EDENet([resnet18(2, (2, 3, 4, 5), seed=0)])
        stream.begin(stream.tasks[0])
        stage_two.remember(net.eval(), memory, stream, stream.tasks[0], settings)
        stream.begin(stream.tasks[1])
        net.grow(resnet18(2, (3, 3, 4, 5), seed=1))
        return Run(tmp_path / "run", settings, 2, {"rehearsal_size": 10}), net, memory

    return begun


def test_all_sub_models_are_trained(joined, stream):
    run, net, memory = joined()
    before = state_of(net)
    with run:
        progress = stage_two.finetune(run, net, memory, stream, stream.tasks[1])
    assert len(progress.history) == 2
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if not name.endswith((".mean", ".std"))}


def test_heads_only_leaves_everything_else_bit_identical_batch_norm_statistics_included(joined, stream):
    run, net, memory = joined(finetune="heads")
    before = state_of(net)
    with run:
        stage_two.finetune(run, net, memory, stream, stream.tasks[1])
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"submodels.{i}.head.{name}" for i in (0, 1) for name in ("weight", "bias")}
    assert all(parameter.requires_grad for parameter in net.parameters()), "for the next task"


def test_heads_only_normalises_by_the_running_statistics(joined):
    _, net, _ = joined()
    net.train_heads_only()
    assert not any(module.training for module in net.train().modules() if isinstance(module, nn.BatchNorm2d))


def test_fine_tuning_sees_the_exemplars_and_the_current_images_and_nothing_else(joined, stream, monkeypatch):
    run, net, memory = joined(padding=0, finetune_rotation=0.0)
    stream.mirror = False
    seen, forward = [], EDENet.forward
    monkeypatch.setattr(EDENet, "forward", lambda self, x: seen.append(x) or forward(self, x))
    shares = []

    def unmixed(self, alpha, count):
        shares.append(count)
        return torch.ones(count)

    monkeypatch.setattr("utils.randomness.StepRandom.mixing", unmixed)
    with run:
        stage_two.finetune(run, net, memory, stream, stream.tasks[1])
    assert set(shares) == {8}, "mixup over the whole batch, here with λ = 1"
    rows = {int(row) for x in seen for row in (x[:, 0, 0, 0] * 255).round()}
    current = set(rows_of(stream, 2)) | set(rows_of(stream, 3))
    exemplars = {row for chosen in memory.lists for row in chosen}
    assert exemplars <= rows <= exemplars | current
    assert rows & current


# --- whole runs


def test_old_training_images_are_out_of_reach_in_a_real_run(finished, tmp_path, monkeypatch):
    """Every image that a run of stage two asks for is the current task's, or an exemplar kept by the stage before."""
    asked, begun = [], []
    select, begin = Images.select, TaskStream.begin

    def noting_begin(self, task):
        begun.append(task)
        begin(self, task)

    def noting_select(self, chosen):
        found = select(self, chosen)
        if begun:
            asked.append((begun[-1].index, found))
        return found

    monkeypatch.setattr(TaskStream, "begin", noting_begin)
    training_images, exemplars = TaskStream.training_images, TaskStream.exemplars
    for name, original in [("training_images", training_images), ("exemplars", exemplars)]:

        def noting(self, *arguments, original=original):
            found = original(self, *arguments)
            asked.append((begun[-1].index, found))
            return found

        monkeypatch.setattr(TaskStream, name, noting)
    roots = {"checkpoint_root": str(tmp_path), "classifier_root": str(finished.root)}
    train_EDE_Net.train_model(**finished.options, **roots, rehearsal_size=finished.rehearsal)
    indices = [task.index for task in begun]
    assert indices == sorted(indices)
    assert {index for index, _ in asked} == {0, 1, 2}
    bounds = finished.options["split_list"]
    for index, images in asked:
        kept = []
        if index > 0:
            kept = checkpoint.read(finished.ede_net / f"stage_{index}.pt", "ede_net")["exemplars"]
        for label, row in zip(images.labels.tolist(), images.indices.tolist(), strict=True):
            assert label >= bounds[index] or row in kept[label]
            assert label < bounds[index + 1]


def test_asking_for_old_training_images_ends_a_real_run(finished, tmp_path, monkeypatch):
    remember = stage_two.remember

    def greedy(net, memory, stream, task, settings):
        if task.index == 1:
            stream.training_images(stream.tasks[0])
        remember(net, memory, stream, task, settings)

    monkeypatch.setattr(stage_two, "remember", greedy)
    roots = {"checkpoint_root": str(tmp_path), "classifier_root": str(finished.root)}
    with pytest.raises(OutOfReach):
        train_EDE_Net.train_model(**finished.options, **roots, rehearsal_size=finished.rehearsal)


def test_old_images_outside_the_memory_and_images_to_come_have_no_influence(finished, tmp_path, monkeypatch):
    """Stage 2 of three, with noise in place of all training images but the current task's and the exemplars."""
    shutil.copytree(finished.ede_net, tmp_path / finished.ede_net.name)
    folder, load = tmp_path / finished.ede_net.name, catalog.load
    for name in ("stage_2.pt", "stage_3.pt"):
        (folder / name).unlink()
    kept = {row for rows in checkpoint.read(folder / "stage_1.pt", "ede_net")["exemplars"] for row in rows}

    def noisy(name, root, part, *size):
        found = load(name, root, part, *size)
        if part != "train":
            return found
        noise = torch.randint(0, 256, found.images.shape, generator=torch.Generator().manual_seed(0)).byte()
        stays = (found.labels >= 3) & (found.labels < 6)
        stays[list(kept)] = True
        assert 0 < int(stays.sum()) < len(stays)
        return replace(found, images=torch.where(stays.view(-1, 1, 1, 1), found.images, noise))

    monkeypatch.setattr(catalog, "load", noisy)
    roots = {"checkpoint_root": str(tmp_path), "classifier_root": str(finished.root)}
    train_EDE_Net.train_model(**finished.options, **roots, rehearsal_size=finished.rehearsal)
    mine, theirs = (EDENet.load(place / "stage_2.pt") for place in (folder, finished.ede_net))
    assert same_state(mine.state_dict(), theirs.state_dict())
    assert mine.meta["exemplars"] == theirs.meta["exemplars"]


def test_the_memory_of_a_real_run_shrinks_from_its_ends(finished):
    lists = [checkpoint.read(finished.ede_net / f"stage_{t}.pt", "ede_net")["exemplars"] for t in (1, 2, 3)]
    assert [[len(chosen) for chosen in stage] for stage in lists] == [[10] * 3, [5] * 6, [3] * 9]
    train = catalog.load("cifar100", finished.options["data_root"], "train")
    for earlier, later in pairwise(lists):
        assert all(before[: len(now)] == now for before, now in zip(earlier, later, strict=False))
    for stage in lists:
        for label, chosen in enumerate(stage):
            assert len(set(chosen)) == len(chosen)
            assert {int(train.labels[row]) for row in chosen} == {label}


def test_the_first_stage_is_the_first_sub_model_untouched(finished):
    net = EDENet.load(finished.ede_net / "stage_1.pt")
    model, _ = checkpoint.load_classifier(finished.classifier / "model_0to3_prune.pt")
    assert same_state(net.submodels[0].state_dict(), model.state_dict())


def test_every_stage_starts_from_the_file_of_the_stage_before_and_a_fresh_sub_model(finished, tmp_path, monkeypatch):
    begun, fit = [], stage_two.training.fit

    def noting(model, *arguments, **keywords):
        begun.append([state_of(submodel) for submodel in model.submodels])
        return fit(model, *arguments, **keywords)

    monkeypatch.setattr(stage_two.training, "fit", noting)
    shutil.copytree(finished.ede_net, tmp_path / finished.ede_net.name)
    for name in ("stage_2.pt", "stage_3.pt"):
        (tmp_path / finished.ede_net.name / name).unlink()
    roots = {"checkpoint_root": str(tmp_path), "classifier_root": str(finished.root)}
    train_EDE_Net.train_model(**finished.options, **roots, rehearsal_size=finished.rehearsal)
    for t, states in zip((2, 3), begun, strict=True):
        *before, new = states
        earlier = EDENet.load(finished.ede_net / f"stage_{t - 1}.pt")
        fresh, _ = checkpoint.load_classifier(finished.classifier / f"model_{3 * t - 3}to{3 * t}_prune.pt")
        assert all(same_state(a, b.state_dict()) for a, b in zip(before, earlier.submodels, strict=True))
        assert same_state(new, fresh.state_dict())


def test_stage_two_writes_nothing_into_stage_ones_folder(finished):
    assert {path.name: path.read_bytes() for path in finished.classifier.glob("*.pt")} == finished.stage_one_files


def test_running_stage_two_again_from_any_stage_gives_the_same(finished, tmp_path):
    shutil.copytree(finished.ede_net, tmp_path / finished.ede_net.name)
    folder = tmp_path / finished.ede_net.name
    (folder / "stage_2.pt").unlink()  # stage 3, fine-tuned on later classes, is still there
    roots = {"checkpoint_root": str(tmp_path), "classifier_root": str(finished.root)}
    train_EDE_Net.train_model(**finished.options, **roots, rehearsal_size=finished.rehearsal)
    mine, theirs = (EDENet.load(place / "stage_2.pt") for place in (folder, finished.ede_net))
    assert same_state(mine.state_dict(), theirs.state_dict())


# --- stage one's files


def command_in(message):
    """The printed command, parsed as the shell and the script do."""
    python, script, call = shlex.split(message[message.index("python train_classifier.py") :])[:3]
    assert (python, script) == ("python", "train_classifier.py")
    return command.parse_call(call, [train_classifier.train_model], options=recipes.NAMES)


def test_without_stage_ones_folder_the_command_that_makes_it_is_printed(finished, tmp_path):
    with pytest.raises(UserError) as caught:
        train_EDE_Net.train_model(**finished.options, checkpoint_root=str(tmp_path), rehearsal_size=31)
    parsed = command_in(str(caught.value))
    assert parsed.keywords["split_list"] == [0, 3, 6, 9]
    assert parsed.keywords["split_type"] == "s0-t3"
    assert parsed.keywords["checkpoint_root"] == str(tmp_path)
    assert parsed.keywords["epochs"] == finished.options["epochs"]
    assert parsed.keywords["data_root"] == finished.options["data_root"]


def test_without_one_of_stage_ones_files_the_printed_command_makes_it(finished, tmp_path):
    shutil.copytree(finished.classifier, tmp_path / finished.classifier.name)
    (tmp_path / finished.classifier.name / "model_0to3_prune.pt").unlink()
    with pytest.raises(UserError, match=r"model_0to3_prune\.pt") as caught:
        train_EDE_Net.train_model(**finished.options, checkpoint_root=str(tmp_path), rehearsal_size=31)
    command_in(str(caught.value))()
    made, _ = checkpoint.load_classifier(tmp_path / finished.classifier.name / "model_0to3_prune.pt")
    kept, _ = checkpoint.load_classifier(finished.classifier / "model_0to3_prune.pt")
    assert same_state(made.state_dict(), kept.state_dict())


@pytest.mark.parametrize("other", [{"seed": 5}, {"class_order": [*range(8, -1, -1)]}])
def test_stage_ones_files_of_another_protocol_are_refused(finished, tmp_path, other):
    roots = {"checkpoint_root": str(tmp_path), "classifier_root": str(finished.root)}
    with pytest.raises(UserError, match=next(iter(other))):
        train_EDE_Net.train_model(**{**finished.options, **other}, **roots, rehearsal_size=31)


def test_sub_models_of_another_stage_one_are_not_taken_for_these(finished, tmp_path):
    """Stage one made anew with other widths: stage two's old files are of networks that are gone."""
    for source in (finished.ede_net, finished.classifier):
        shutil.copytree(source, tmp_path / source.name)
    options = {**finished.options, "widths": [5, 5, 5, 5], "prune": False, "checkpoint_root": str(tmp_path)}
    train_classifier.train_model(**{**options, "epochs": 1}, restart=True)
    with pytest.raises(UserError):
        train_EDE_Net.train_model(**{**options, "prune": True}, rehearsal_size=finished.rehearsal)


def test_finished_stages_of_another_stage_one_are_not_adopted(finished, tmp_path):
    """A run with one task fewer may go on from the stages of one that began alike, its sub-models being the same."""
    shutil.copytree(finished.ede_net, tmp_path / finished.ede_net.name)
    options = {**finished.options, "split_list": [0, 3, 6], "split_type": "s0-t2", "checkpoint_root": str(tmp_path)}
    options |= {"widths": [5, 5, 5, 5], "epochs": 1, "max_rounds": 0}
    train_classifier.train_model(**options)
    results = train_EDE_Net.train_model(**options, rehearsal_size=finished.rehearsal)
    assert results["widths"] == [[5, 5, 5, 5]] * 2


def test_a_damaged_stage_beside_it_is_passed_by(finished, tmp_path, capsys):
    shutil.copytree(finished.ede_net, tmp_path / finished.ede_net.name)
    path = tmp_path / finished.ede_net.name / "stage_2.pt"
    path.write_bytes(path.read_bytes()[:-100])
    options = {**finished.options, "split_list": [0, 3, 6], "split_type": "s0-t2"}
    roots = {"checkpoint_root": str(tmp_path), "classifier_root": str(tmp_path / "one")}
    train_classifier.train_model(**{**options, "checkpoint_root": roots["classifier_root"]})
    results = train_EDE_Net.train_model(**options, **roots, rehearsal_size=finished.rehearsal)
    assert "stage_1.pt: taken over from" in (out := capsys.readouterr().out)
    assert f"cannot be gone on from: {path}" in out
    assert len(results["seen_accuracy"]) == 2
