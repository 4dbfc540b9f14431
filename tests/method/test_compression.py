"""The rounds of compression: what they begin with, which are accepted, and when they end."""

from types import SimpleNamespace
from unittest import mock

from tests.models.networks import SCALED, same_state, slow_counts, state_of, with_scales
from utils.method import compression, stage_one
from utils.running.options import settings

OPTIONS = {"percent": 0.5, "min_width": 2, "width_multiple": 1, "max_accuracy_loss": 4.0, "max_rounds": 8}


class Network(SimpleNamespace):
    """As an artefact: the network, and its accuracy."""

    done = False

    def load(self, kind):
        return self.model

    def save(self, model, results, task):
        self.model, self.results = model, results


def compressed(scores, teacher_score=80.0, widths=SCALED, **options):
    """Compresses with a fake training that gives the attempts these scores, in order."""
    artefacts, chosen = [], settings({**OPTIONS, **options})

    def artefact(name, made_from, folder=None):
        artefacts.append(Network(name=name, made_from=made_from))
        return artefacts[-1]

    def train(student, task, foreign, model, loss, schedule, phase):
        student.model, student.results = model, {"selection_accuracy": scores[len(artefacts) - 2]}

    def fresh(task, outputs, widths, seed, phase):
        return with_scales(widths, seed=int(phase.removeprefix("distillation")))

    teacher = with_scales(widths)
    before = state_of(teacher)
    unpruned = Network(model=teacher, results={"selection_accuracy": teacher_score}, fingerprint="teacher's")
    run, task = SimpleNamespace(settings=chosen, artefact=artefact, unfinished=None), mock.Mock()
    with mock.patch.multiple(stage_one, train=train, fresh=fresh, made_from=lambda *_: {}, objective=mock.Mock()):
        compression.compress(run, task, None, unpruned)
    result, *students = artefacts
    assert same_state(before, teacher)
    assert [student.made_from["round"] for student in students] == [*range(1, len(students) + 1)]
    assert all(student.made_from["teacher"] == "teacher's" for student in students)
    accepted = [each.pop("accepted") for each in result.results.pop("rounds")]
    best = [unpruned, *(student for student, good in zip(students, accepted, strict=True) if good)][-1]
    assert (result.model, result.results) == (best.model, best.results), "the last that was accepted"
    models = [student.model for student in students]
    return SimpleNamespace(widths=[each.widths for each in models], accepted=accepted, models=[teacher, *models])


def is_halfway(middle, good, failed):
    return all(abs(w - (a + b) / 2) <= 0.5 for w, a, b in zip(middle, good, failed, strict=True))


def test_every_round_starts_from_the_network_accepted_last():
    run = compressed([79.0, 78.0, 77.0], max_rounds=3, percent=0.3)
    for widths, model in zip(run.widths, run.models, strict=False):
        means = [sum(stage) / 5 for stage in slow_counts(model, 0.3)]
        assert widths == tuple(min(now, max(int(m + 0.5), 2)) for m, now in zip(means, model.widths, strict=True))
    assert run.accepted == [True] * 3


def test_a_network_exactly_at_the_bound_is_accepted_for_every_number_of_images_right():
    assert compressed([75.9, 0.0], max_rounds=1).accepted == [False, False]
    for right in (22, 27, 44, 88, 166):  # of 250: 4 points are 10 images, and rounding makes them a hair more
        assert compressed([100 * (right - 10) / 250], 100 * right / 250, (3, 4, 5, 6), max_rounds=1).accepted == [True]


def test_after_a_failure_there_is_one_attempt_half_way_from_the_last_good_network():
    run = compressed([77.0, 75.0, 78.0])
    assert run.accepted == [True, False, True], "the bound is below the teacher"
    assert is_halfway(run.widths[2], run.widths[0], run.widths[1])
    run = compressed([10.0, 11.0])
    assert run.accepted == [False, False]
    assert is_halfway(run.widths[1], SCALED, run.widths[0])
    run = compressed([10.0, 10.0], widths=(3, 3, 3, 3), percent=0.3)
    assert len({(3, 3, 3, 3), *run.widths}) == 1 + len(run.widths), "none where nothing lies between"


def test_widths_only_get_smaller_until_the_least_width_ends_it():
    run = compressed([80.0] * 50, min_width=4, max_rounds=50)
    assert run.widths[-1] == (4, 4, 4, 4)
    assert len(run.widths) < 10
    for before, after in zip([SCALED, *run.widths], run.widths, strict=False):
        assert after != before
        assert all(a <= b for a, b in zip(after, before, strict=True))
    assert compressed([], widths=(4, 4, 4, 4), min_width=4).widths == []
