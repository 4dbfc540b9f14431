"""Step-by-step compression: narrower and narrower networks, each taught by the unpruned one."""

from datasets.tasks import Task
from models.inherit import inherit
from models.resnet import ResNet18
from models.widths import halfway, kept_channels, stage_widths
from utils.method import stage_one
from utils.method.distill import distilled
from utils.method.stage_one import Foreign
from utils.method.training import Schedule
from utils.running.artefact import Artefact
from utils.running.run import Run

# Accuracies are quotients in floating point: exactly `max_accuracy_loss` points may come out a hair above it.
ROUNDING = 1e-9


def compress(run: Run, task: Task, foreign: Foreign, unpruned: Artefact) -> None:
    """Compresses the task's temporary network step by step into `model_<task>_prune`.

    A round drops about the share `percent` of the current network's channels, at first the unpruned one's. A network at
    most `max_accuracy_loss` points below the unpruned one becomes the current one and another round follows. After a
    failure one last attempt is made half way between the last good widths and the failed ones. It ends too when the
    widths cannot get smaller, or after `max_rounds` rounds. The last accepted network is the result; without any, the
    unpruned one is.
    """
    settings, name = run.settings, stage_one.model_name(task, compressed=True)
    made_from = stage_one.made_from(task, foreign, settings)
    wanted = {**made_from, "teacher": unpruned.fingerprint, **settings.deciding("compression")}
    artefact = run.artefact(name, wanted)
    if artefact.done:
        return
    teacher = unpruned.load(ResNet18)
    tried: list[tuple[Artefact, bool]] = []

    def accepted(widths: tuple[int, ...]) -> bool:
        """Distils a network of these widths and says whether it is good enough."""
        number = len(tried) + 1
        of_the_round = {**wanted, "round": number, "widths of the round": widths}
        student, phase = run.artefact(f"{name}.round{number}", of_the_round, run.unfinished), f"distillation{number}"
        if not student.done:
            if settings.inherit:
                model = inherit(teacher, widths)
            else:
                model = stage_one.fresh(task, teacher.num_classes, widths, settings.seed, phase)
            loss = stage_one.objective(task.num_classes, foreign, settings, mixed=True)
            loss = distilled(loss, [teacher], settings.temperature)
            schedule = Schedule(settings, settings.distill_epochs, settings.distill_lr)
            stage_one.train(student, task, foreign, model, loss, schedule, phase)
        drop = unpruned.results["selection_accuracy"] - student.results["selection_accuracy"]
        tried.append((student, drop <= settings.max_accuracy_loss + ROUNDING))
        return tried[-1][1]

    current = teacher
    for _ in range(settings.max_rounds):
        counts = kept_channels(current, settings.percent)
        widths = stage_widths(counts, current.widths, settings.min_width, settings.width_multiple)
        if widths == current.widths:
            break
        if not accepted(widths):
            middle = halfway(current.widths, widths, settings.width_multiple)
            if middle not in (current.widths, widths):
                accepted(middle)
            break
        current = tried[-1][0].load(ResNet18)
    best = [unpruned, *(student for student, good in tried if good)][-1]
    rounds = [{**student.results, "accepted": good} for student, good in tried]
    artefact.save(best.load(ResNet18), {**best.results, "rounds": rounds}, task=task.name)
