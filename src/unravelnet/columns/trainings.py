"""Columns of trainings and trained networks."""

from __future__ import annotations

from unravelnet.columns.column import Column

TRAINING = (
    Column(
        "epoch", "Epoch", "whole number",
        "Pass over the training data, from 1; 0 stands for the network before training.",
    ),
    Column(
        "train_loss", "Training loss", "number",
        "Mean loss over the mini-batches of the epoch, on their routes and augmented images.", unit="nats",
    ),
    Column(
        "train_error_rate", "Training error", "number",
        "Error rate over the mini-batches of the epoch, on their routes and augmented images.", unit="share",
    ),
    Column(
        "test_error_rate", "Test error", "number",
        "Error rate of the intact network on the validation data, after the epoch.", unit="share",
    ),
    Column(
        "learning_rate", "Learning rate", "number", "Learning rate of the last mini-batch of the epoch.",
    ),
    Column(
        "images_per_second", "Images per second", "number", "Speed of training.", unit="images per second"
    ),
    Column("seconds", "Seconds", "number", "Time of the whole epoch, which includes evaluation.", unit="seconds"),
    Column(
        "routes", "Routes", "text",
        "What random routes are drawn from, for the mini-batches of a training or the members of an ensemble. "
        '"all": every module. "stochastic-depth:p": each module is kept with its survival. "exactly:m": m random '
        'modules; with ",keep=downsampling" those that change the shape are always among them. "uniform": a random '
        'number of random modules. "given": the routes were given.',
    ),
)  # fmt: skip

TRAINED_NETWORKS = (
    Column("group", "Trained alike", "text", "Name of a shipped network without its seed: all seeds of one recipe."),
    Column("zoo_name", "Zoo network", "text", "Name in the zoo of the network that was trained."),
    Column(
        "start", "Start", "text", "Network whose weights the training began with; empty where they were random.",
    ),
    Column(
        "is_shipped", "Shipped", "truth value",
        "Whether the weights of this training come with the package; of the others the error is known.",
    ),
    Column("training_seed", "Training seed", "whole number", "Seed of the training."),
    Column(
        "test_time", "How it is tested", "text",
        '"unscaled": all modules are used, and every branch as it is. "scaled": each branch is multiplied by its '
        'survival. "re-estimated", after either word: the normalisation statistics were measured again in this way, on '
        '5,000 training images. "random routes": the mean over 10 routes drawn as in training.',
    ),
    Column(
        "is_as_trained", "As the method tests", "truth value",
        "Whether `test_time` is that of the method: scaled for stochastic-depth:p and exactly:m, else unscaled.",
    ),
    Column(
        "fit_error_rate", "Error on training images", "number",
        "Error rate on `n_fit_images` training images as they are, tested in the way of `test_time`.", unit="share",
    ),
    Column("n_fit_images", "Training images tested", "whole number", "Images of `fit_error_rate`.", unit="images"),
    Column("n_routes", "Tested routes", "whole number", "Number of tested routes.", unit="routes"),
    Column(
        "wrong", "Wrong predictions", "whole number",
        "Number of wrong predictions among `n_routes` × `n_images`.", unit="predictions",
    ),
    Column("epochs", "Epochs", "whole number", "Number of epochs of the training.", unit="epochs"),
    Column(
        "image_sizes", "Image sizes", "text",
        'Image heights for equal parts of the training; "as they are" where all images kept their size.',
    ),
    Column("peak_learning_rate", "Largest learning rate", "number", "Largest learning rate of the training."),
    Column("weight_decay", "Weight decay", "number", "Weight decay of the training."),
    Column("label_smoothing", "Label smoothing", "number", "Label smoothing of the training."),
    Column("batch_size", "Batch size", "whole number", "Images in a mini-batch of the training.", unit="images"),
    Column(
        "training_seconds", "Training seconds", "number",
        "Time of the whole training, which includes the evaluation after each epoch.", unit="seconds",
    ),
    Column("training_hardware", "Trained by", "text", "Hardware of the training."),
    Column(
        "training_macs", "Training MACs", "number",
        "Multiply-accumulate operations of all forward passes of the training: the mean over its routes; smaller "
        "images count in proportion to their area.", unit="MACs",
    ),
)  # fmt: skip
