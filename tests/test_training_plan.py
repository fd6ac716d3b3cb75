"""Learning rates against torch's own schedules and the paper, and settings that make no sense."""

from __future__ import annotations

import pytest
import torch

from unravelnet.errors import TrainingError, UnknownNameError
from unravelnet.training_plan import TrainingPlan


def rates(plan, n):
    return [plan.learning_rate_at(iteration, n) for iteration in range(n)]


def rates_of_torch(n, make):
    """Run one of torch's schedulers for n iterations from a rate of 0.1."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = make(optimiser)
    found = []
    for _ in range(n):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


def test_steps_of_he_2015():
    # 64,000 iterations: 0.01 for 400, then 0.1, divided by 10 at 32,000 and 48,000.
    plan = TrainingPlan()
    at = {i: plan.learning_rate_at(i, 64_000) for i in (0, 399, 400, 31_999, 32_000, 47_999, 48_000, 63_999)}
    assert at == pytest.approx(
        {0: 0.01, 399: 0.01, 400: 0.1, 31_999: 0.1, 32_000: 0.01, 47_999: 0.01, 48_000: 0.001, 63_999: 0.001}
    )


def test_the_warmup_of_a_short_training_is_short():
    assert rates(TrainingPlan(), 100)[:6] == pytest.approx([0.01] * 5 + [0.1])
    assert rates(TrainingPlan(warmup_iterations=2), 100)[:3] == pytest.approx([0.01, 0.01, 0.1])


@pytest.mark.parametrize("n", [4, 10, 57])
def test_one_cycle_is_that_of_torch(n):
    expected = rates_of_torch(
        n, lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=n + 1, cycle_momentum=False)
    )
    ours = [TrainingPlan(schedule="one-cycle").learning_rate_at(i, n + 1) for i in range(n)]
    assert ours == pytest.approx(expected)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_cycle_in_three_iterations_is_constant(n):
    assert rates(TrainingPlan(schedule="one-cycle"), n) == [0.1] * n


def test_cosine_is_that_of_torch():
    expected = rates_of_torch(40, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40))
    assert rates(TrainingPlan(schedule="cosine", warmup_iterations=0), 40) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0; give 1 to 100,000"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; give a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"warmup_iterations": -1}, "warmup_iterations is -1"),
        ({"pad": -2}, "pad is -2"),
        ({"image_sizes": "16,big"}, "image_sizes is 16,big; give heights of 1 to 16,384 pixels"),
        ({"image_sizes": "0"}, "image_sizes is 0; give heights of 1 to 16,384 pixels"),
        (
            {"epochs": 2, "image_sizes": "16,24,32"},
            "epochs is 2; give 3 or more, one for each of the image sizes",
        ),
        ({"test_every": 0}, "test_every is 0; give 1 or more"),
        ({"routes": "exactly"}, "needs a number"),
    ],
)
def test_impossible_settings_are_explained(options, message):
    with pytest.raises(TrainingError) as caught:
        TrainingPlan(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "steps"}, "Did you mean 'step'"),
        ({"precision": "bf16"}, "bfloat16"),
        ({"routes": "most"}, "no route sampler 'most'"),
    ],
)
def test_unknown_names_are_explained(options, message):
    with pytest.raises(UnknownNameError) as caught:
        TrainingPlan(**options)
    assert message in str(caught.value)


def test_changing_a_setting_makes_a_new_plan():
    plan = TrainingPlan()
    assert plan.changed({"epochs": 3}) == TrainingPlan(epochs=3) != plan
    with pytest.raises(UnknownNameError, match="Did you mean 'learning_rate'"):
        plan.changed({"learn_rate": 0.1})


@pytest.mark.parametrize(
    ("keep_epochs", "kept"),
    [("", ()), ("all", (0, 1, 2, 3, 4)), ("0", (0, 4)), ("2, 1", (1, 2, 4)), ("4,1,1", (1, 4))],
)
def test_the_last_epoch_is_kept_with_any_other(keep_epochs, kept):
    assert TrainingPlan(epochs=4, keep_epochs=keep_epochs).kept_epochs == kept


@pytest.mark.parametrize("keep_epochs", ["5", "-1", "1,,2", "some", "1.5"])
def test_epochs_that_the_training_does_not_have_cannot_be_kept(keep_epochs):
    with pytest.raises(TrainingError, match=f"keep_epochs is {keep_epochs}; give epochs from 0 to 4"):
        TrainingPlan(epochs=4, keep_epochs=keep_epochs)
