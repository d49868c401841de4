"""Several steps a call, as seen by hooks: they are asked before the first step and told after the last."""

import tensorflow.compat.v1 as tf


class LoopHook(tf.train.SessionRunHook):
    """Calls `hook` once in `steps` steps, with what it fetches at the last of them."""

    def __init__(self, hook, steps):
        self._hook = hook
        self._steps = steps
        self._done = 0
        self._asked = None

    def begin(self):
        self._hook.begin()

    def after_create_session(self, session, coord):
        self._hook.after_create_session(session, coord)

    def before_run(self, run_context):
        if self._done == 0:
            self._asked = self._hook.before_run(run_context)
            if self._asked is not None and self._asked.feed_dict and self._steps > 1:
                raise RuntimeError("a loop of several steps takes no feed")
        return self._asked if self._done == self._steps - 1 else None

    def after_run(self, run_context, run_values):
        self._done = (self._done + 1) % self._steps
        if self._done == 0:
            self._hook.after_run(run_context, run_values)

    def end(self, session):
        self._hook.end(session)
