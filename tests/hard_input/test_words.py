"""The command line: commands and options that are none, that contradict each other, or that are put oddly."""

from __future__ import annotations

from tests.hard_input.runner import Command, table

COMMANDS = ("reproduce", "inspect", "lesion", "paths", "train", "report")
LESION = "lesion {net} --data digits --limit 8"
TRAIN = "train resnet8 --data digits --out x"


def _has_3(value):
    return value["n_modules"] == 3


test_commands = table(
    Command("nothing", "", 2, "No command was given."),
    Command("an empty word", "''", 2, "No such command"),
    Command("a word with a typo", "lesions {net}", 2, "No such command"),
    Command("upper case", "INSPECT {net}", 2, "No such command"),
    Command("an option that is none", "--verbose", 2, "--verbose"),
    Command("an emoji", "🙂", 2, "No such command"),
    Command("an escape sequence", ["\x1b[31minspect"], 2, "\\x1b[31minspect"),
    Command("a line break", ["inspect\nlesion"], 2, "No such command"),
    Command("no UTF-8", ["caf\udce9"], 2, "No such command"),
    Command("a very long word", ["x" * 5000], 2, "No such command"),
    Command("the version", "--version", 0, "unravelnet"),
    Command("two dashes alone", "--", 2, "Missing command."),
    Command("traceback alone", "--traceback", 2, "No command was given."),
    *(Command(f"help of {name}", f"{name} --help", 0, f"unravelnet {name}") for name in COMMANDS),
    *(Command(f"short help of {name}", f"{name} -h", 0, f"unravelnet {name}") for name in COMMANDS),
    *(Command(f"{name} --nothing", f"{name} --nothing", 2, "No such option") for name in COMMANDS),
    *(Command(f"{name} with too many words", f"{name} a b c d", 2, "") for name in COMMANDS),
    *(Command(f"{name} without words", name, 2, "Missing") for name in COMMANDS if name != "reproduce"),
)

test_options = table(
    Command("an option without its value", "lesion {net} --data", 2, "--data"),
    Command(
        "an option twice",
        "inspect {net} --input-shape 1,9,9 --input-shape 1,8,8 --json",
        0,
        "",
        _has_3,
    ),
    Command("JSON and CSV", f"{LESION} --json --csv", 2, "one of the two"),
    Command("JSON and CSV of paths", "paths {net} --data digits --json --csv", 2, "one of the two"),
    Command("a study that is none", f"{LESION} --study delete-all", 2, "Did you mean 'delete-many'?"),
    Command("no study", f"{LESION} --study ,", 2, "--study"),
    Command("an empty study", f"{LESION} --study ''", 2, "--study"),
    Command("one study twice", f"{LESION} --study delete-each,delete-each --csv", 0, "delete_each"),
    Command("a metric that is none", f"{LESION} --metrics accurate", 2, "no metric 'accurate'"),
    Command("no metric", f"{LESION} --metrics ,", 2, "metric"),
    Command("a metric in another language", f"{LESION} --metrics Fehlerrate", 2, "no metric"),
    Command("a precision that is none", f"{LESION} --precision float16", 2, "--precision"),
    Command("an output that is none", f"{LESION} --output logits", 2, "no output 'logits'"),
    Command("an output's wrong place", f"{LESION} --output 1", 2, "no output '1'"),
    Command("an output's wrong dimension", f"{LESION} --output output:0", 2, "dimension 0 is the batch"),
    Command(
        "an output's dimension in words", f"{LESION} --output output:last", 2, "what is behind the colon"
    ),
    Command("no data", "lesion {net}", 2, "--data"),
    Command("data that are none", "lesion {net} --data nothing-here", 2, "nothing-here"),
    Command("empty data", "lesion {net} --data ''", 2, "names nothing"),
    Command("data of other channels", "lesion zoo:preact-resnet110-cifar10 --data digits", 2, "digits"),
    Command(
        "a text for a network of images", "lesion {net} --data book.txt", 2, "", files={"book.txt": "a book"}
    ),
    Command("a network as data", "lesion {net} --data {net}", 2, ""),
    Command("data as a network", "lesion digits --data digits", 2, "There is no model 'digits'"),
    Command("a place of the gradient", "paths {net} --data digits --at head", 2, "--at"),
    Command("a method that is none", "paths {net} --data digits --method guess", 2, "no method 'guess'"),
    Command("no method", "paths {net} --data digits --method ,", 2, "--method"),
    Command("a loss that is none", "paths {net} --data digits --loss hinge", 2, "--loss"),
    Command("gradients per pixel", "paths {net} --data digits --per pixel", 2, "--per"),
    Command("routes of no kind", f"{TRAIN} --routes most", 2, "most"),
    Command("routes with a word", f"{TRAIN} --routes exactly:all", 2, "exactly"),
    Command("routes that keep too many", f"{TRAIN} --routes exactly:99 --epochs 1", 2, "99"),
    Command("routes that keep nobody", f"{TRAIN} --routes stochastic-depth:2", 2, "stochastic-depth"),
    Command("a schedule that is none", f"{TRAIN} --schedule weekly", 2, "--schedule"),
    Command("a device that is none", f"{TRAIN} --device abacus", 2, "abacus"),
    Command("a device without values", f"{TRAIN} --device meta", 2, "meta"),
    Command("a device that is not there", f"{TRAIN} --device cuda:99", 2, "cuda"),
    Command("a device with a word", f"{TRAIN} --device cpu:first", 2, "cpu:first"),
    Command("a trained network to train", "train {net} --data digits --out x", 2, ""),
    Command(
        "a network of a library to train", "train torchvision:resnet18 --data digits --out x", 2, "of the zoo"
    ),
    Command("an odd depth", "train resnet9 --data digits --out x", 2, "9"),
    Command("no depth", "train resnet --data digits --out x", 2, "resnet"),
    Command("a negative depth", "train resnet-8 --data digits --out x", 2, "resnet"),
    Command("training on what is not there", "train resnet8 --data nothing-here --out x", 2, "nothing-here"),
    Command("sizes in words", f"{TRAIN} --image-sizes small,large", 2, "small"),
    Command("sizes beyond the image", f"{TRAIN} --image-sizes 99999", 2, "99999"),
    Command("epochs in words", f"{TRAIN} --keep-epochs last", 2, "last"),
    Command("an epoch beyond the end", f"{TRAIN} --epochs 2 --keep-epochs 3", 2, "3"),
    Command("a shape of two words", "inspect {net} --input-shape wide,high", 2, "--input-shape"),
    Command("a shape of nothing", "inspect {net} --input-shape ''", 2, "--input-shape"),
    Command("a shape with a zero", "inspect {net} --input-shape 3,0,8", 2, "--input-shape"),
    Command("a shape below zero", "inspect {net} --input-shape 3,-8,8", 2, "--input-shape"),
    Command("another shape than the network's", "inspect {net} --input-shape 3,8,8", 2, ""),
    Command("a shape of one number", "inspect zoo:resnet8 --input-shape 8", 2, ""),
    Command("a shape of five numbers", "inspect zoo:resnet8 --input-shape 1,3,8,8,8", 2, ""),
    Command("a key without weights", "inspect {net} --weights-key ema", 2, "--weights FILE"),
    Command("a model of no name", "inspect zoo:", 2, "names no model"),
    Command("a kind of model that is none", "inspect keras:resnet50", 2, "no kind of model 'keras'"),
    Command("a colon", "inspect :", 2, ""),
    Command("an empty model", "inspect ''", 2, ""),
    Command("a model of spaces", "inspect '   '", 2, ""),
    Command("a web address as a model", "inspect https://example.org/net.pt", 2, ""),
    Command("a network of torchvision that is none", "inspect torchvision:resnet51", 2, "resnet51"),
    Command("a network of timm that is none", "inspect timm:no_such_net", 2, "no_such_net"),
    Command("a network of the hub", "inspect hf:no/such-model", 2, "no/such-model"),
    Command("the report of nothing", "report nothing-here", 2, "nothing-here"),
    Command("the report of an empty directory", "report {here}", 2, ""),
    Command("the report of a network", "report {net}", 2, ""),
    Command("the report of a file", "report a.txt", 2, "a.txt", files={"a.txt": "text"}),
)

test_accepted = table(
    Command("a network", "inspect {net} --json", 0, "", lambda v: v["input_shape"] == [1, 8, 8]),
    Command("traceback is no more than a wish", "inspect --traceback {net} --json", 0, "", _has_3),
    Command("two dashes before the network", "inspect --json -- {net}", 0, "", _has_3),
    Command(
        "one module after another", f"{LESION} --json --seed 3", 0, "",
        lambda v: [row["route"] for row in v["studies"]["delete_each"]] == ["0-2", "0s,1-2", "0,1s,2", "0-1,2s"],
    ),
    Command(
        "no images but the one", "paths {net} --data digits --limit 1 --json", 0, "",
        lambda v: [row["path_count"] for row in v["studies"]["path_gradients_exact"]] == [1, 3, 3, 1],
    ),
)  # fmt: skip
