"""The forms that TensorFlow itself runs: a SavedModel, and a graph whose weights are constants."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Callable, Dict, Iterator

import tensorflow.compat.v1 as tf

from runtime.exports.base import Format, Function
from runtime.exports.served import IMAGE, OUTPUTS, Served

VERSIONS = {"tensorflow": tf.__version__}


class SavedModel(Format):
    """A SavedModel with the signature `serving_default`. It has no variables: the weights are constants."""

    name, file, runs_in = "saved_model", ".", "TensorFlow Serving, TensorFlow"

    def write(self, served: Served, directory: str) -> Dict[str, Any]:
        """See `Format.write`."""
        with tf.Graph().as_default() as graph, tf.Session(config=on_cpu()) as session:
            tf.import_graph_def(served.graph_def, name="")
            image, outputs = served.tensors(graph)
            # TensorFlow would have the directory to itself.
            builder = tf.saved_model.Builder(os.path.join(directory, "made"))
            signature = tf.saved_model.predict_signature_def({IMAGE: image}, dict(zip(served.outputs, outputs)))
            builder.add_meta_graph_and_variables(
                session, [tf.saved_model.tag_constants.SERVING],
                {tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature})
            builder.save()
        for name in os.listdir(os.path.join(directory, "made")):
            os.rename(os.path.join(directory, "made", name), os.path.join(directory, name))
        os.rmdir(os.path.join(directory, "made"))
        return {"signature": tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY,
                "tags": [tf.saved_model.tag_constants.SERVING], "versions": VERSIONS}

    @contextlib.contextmanager
    def opened(self, directory: str) -> Iterator[Function]:
        """See `Format.opened`."""
        with tf.Graph().as_default() as graph, tf.Session(config=on_cpu()) as session:
            loaded = tf.saved_model.load(session, [tf.saved_model.tag_constants.SERVING], directory)
            signature = loaded.signature_def[tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
            names = {name: info.name for name, info in signature.outputs.items()}
            yield _function(session, graph, signature.inputs[IMAGE].name, names)


class Frozen(Format):
    """A GraphDef, for whoever imports it into a graph of TensorFlow."""

    name, file, runs_in = "frozen", "model.pb", "TensorFlow (tf.import_graph_def)"

    def write(self, served: Served, directory: str) -> Dict[str, Any]:
        """See `Format.write`."""
        with open(os.path.join(directory, self.file), "wb") as stream:
            stream.write(served.graph_def.SerializeToString())
        return {"tensors": {name: name + ":0" for name in (IMAGE, *served.outputs)}, "versions": VERSIONS}

    @contextlib.contextmanager
    def opened(self, directory: str) -> Iterator[Function]:
        """See `Format.opened`."""
        read = tf.GraphDef()
        with open(os.path.join(directory, self.file), "rb") as stream:
            read.ParseFromString(stream.read())
        with tf.Graph().as_default() as graph, tf.Session(config=on_cpu()) as session:
            tf.import_graph_def(read, name="")
            names = {node.name: node.name + ":0" for node in read.node if node.name in OUTPUTS}
            yield _function(session, graph, IMAGE + ":0", names)


def _function(session: Any, graph: tf.Graph, image: str, names: Dict[str, str]) -> Function:
    call: Callable[..., Any] = session.make_callable(
        {name: graph.get_tensor_by_name(tensor) for name, tensor in names.items()},
        [graph.get_tensor_by_name(image)])
    return lambda pixels: dict(call(pixels))


def on_cpu() -> tf.ConfigProto:
    """The config of a session that no GPU takes part in."""
    return tf.ConfigProto(device_count={"GPU": 0})
