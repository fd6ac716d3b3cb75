"""Tables as `evaluate` returns them, made by hand: the answer is known because it was put in."""

from itertools import combinations

from unravelnet.mathematics.intervals import paired_rate_interval, rate_interval
from unravelnet.records.record import Table

N_MODULES = 54
N_IMAGES = 10_000


def row(label, error, *, intact=0.06, n=N_IMAGES, study="delete_each", **columns):
    """One row of one trial that got `error` of n images wrong, the intact network's among them."""
    wrong, wrong_intact = round(error * n), round(intact * n)
    low, high = rate_interval(wrong, n)
    change = paired_rate_interval(wrong - wrong_intact, abs(wrong - wrong_intact), n)
    return {
        "trial_id": f"{study}-{label}",
        "study": study,
        "label": label,
        "repeat": 0,
        "n_modules": N_MODULES,
        "n_images": n,
        "n_not_finite": 0,
        "complete": True,
        "seed": 0,
        "precision": "float32",
        "confidence": 0.95,
        "network_name": "net",
        "data_name": "cifar10/test",
        "module": None,
        "n_deleted": 0,
        "kendall_tau": 1.0,
        **columns,
        "error_rate": wrong / n,
        "error_rate_low": low,
        "error_rate_high": high,
        "error_rate_difference": (wrong - wrong_intact) / n,
        "error_rate_difference_low": change.low,
        "error_rate_difference_high": change.high,
    }


def each(errors, *, intact=0.06, study="delete_each", **columns):
    """A study of single modules: module i has errors[i]; None leaves it out."""
    rows = [row("intact", intact, intact=intact, study=study, **columns)]
    rows += [
        row(f"module {i}", error, intact=intact, study=study, module=i, n_deleted=1, **columns)
        for i, error in enumerate(errors)
        if error is not None
    ]
    return Table(rows)


def many(errors_of_count, *, intact=0.06, **columns):
    """A study of several deletions: for each number of deleted modules the errors of its draws."""
    rows = [row("intact", intact, intact=intact, study="delete_many", **columns)]
    rows += [
        row(
            f"{count} deleted, draw {i}",
            error,
            intact=intact,
            study="delete_many",
            n_deleted=count,
            repeat=i,
            **columns,
        )
        for count, errors in errors_of_count.items()
        for i, error in enumerate(errors)
    ]
    return Table(rows)


def orders(errors_of_tau, *, intact=0.06, **columns):
    """A study of orders: pairs of Kendall's tau and error."""
    rows = [row("intact", intact, intact=intact, study="reorder", **columns)]
    rows += [
        row(f"1 swap, draw {i}", error, intact=intact, study="reorder", kendall_tau=tau, repeat=i, **columns)
        for i, (tau, error) in enumerate(errors_of_tau)
    ]
    return Table(rows)


def resnet_like(*, intact=0.06, peak=0.15, down=(18, 36), n_modules=N_MODULES):
    """Errors of single deletions that hardly change anything, except at down-sampling modules."""
    return [intact + (peak if i in down else 0.002 + 0.0001 * i) for i in range(n_modules)]


def pairs(n_modules):
    """The study delete_pairs: neighbours cost more together than alone, others less."""
    rise, modules = "error_rate_difference", range(n_modules)
    rows = [{"label": "intact", "error_rate": 0.06, rise: 0.0}]
    rows += [{"label": f"module {i}", "first_module": i, rise: 0.02, "error_rate": 0.08} for i in modules]
    for first, second in combinations(modules, 2):
        cost = 0.2 if second == first + 1 else 0.03
        ends = {"first_module": first, "second_module": second}
        rows.append({"label": f"modules {first} and {second}", **ends, rise: cost, "error_rate": 0.06 + cost})
    return Table({**row, "n_images": 1000} for row in rows)


def spans(n_modules):
    """A study of spans: the longer they are, the larger is the error."""
    rows = [{"label": "intact", "error_rate": 0.06}]
    for first, last in combinations(range(n_modules), 2):
        ends = {"first_module": first, "last_module": last}
        label = f"modules {first} to {last} twice"
        rows.append({"label": label, **ends, "error_rate": 0.06 + 0.05 * (last - first)})
    return Table({**row, "n_images": 1000} for row in rows)


def cuts(n_modules):
    """The study delete_last: the error grows with every module that is cut."""
    rows = [row("intact", 0.06, study="delete_last", n_deleted=0)]
    rows += [
        row(f"the last {n} deleted", 0.06 + 0.05 * n, study="delete_last", n_deleted=n)
        for n in range(1, n_modules)
    ]
    return Table(rows)


def doses(n_modules):
    """The study scale_each: the error of module i grows by 0.1 (i + 1) times the distance of the factor from 1."""
    rows = [row("intact", 0.06, study="scale_each")]
    for module in range(n_modules):
        for factor in (0.0, 0.5, 1.5, 2.0):
            error = 0.06 + 0.1 * (module + 1) * abs(factor - 1)
            ends = {"module": module, "factor": factor}
            rows.append(row(f"module {module} times {factor:g}", error, study="scale_each", **ends))
    return Table(rows)


def pruning_curve(n_deleted, n_draws=4):
    """The curve of a search: each deletion adds 0.01 to the error, and 0.02 (draw + 1) in a random order."""

    def point(strategy, n, error, repeat=0):
        ends = {"error_rate_low": error - 0.01, "error_rate_high": error + 0.01}
        left = {"macs_left": 1 - n / 20, "parameters_left": 1 - n / 30, "n_deleted": n}
        return row(f"{strategy}, {n}", error, strategy=strategy, repeat=repeat, **left, **ends)

    rows = [point("intact", 0, 0.06)]
    for n in range(1, n_deleted + 1):
        rows += [point("greedy", n, 0.06 + 0.01 * n), point("one_shot", n, 0.06 + 0.02 * n)]
        rows += [point("random", n, 0.06 + 0.02 * n * (draw + 1), draw) for draw in range(n_draws)]
    return Table(rows)


def importance(n_modules=12):
    """Scores of which one orders the modules as the deletions do, one the other way round, and one not at all."""
    rows = []
    for module in range(n_modules):
        cost = float((7 * module) % n_modules)
        rows.append(
            {
                "module": module,
                "keeps_shape": module % 18 != 9,
                "deletion": 0.01 * cost**2,
                "deletion_error_rate": 0.001 * cost,
                "first_order": -cost,
                "first_order_odds": 0.02 * cost,
                "block_influence": float(module),
                "n_images": 100,
            }
        )
    return Table(rows)
