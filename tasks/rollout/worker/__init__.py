"""A team's domain as a source bundle, and the confined process that runs it.

Read ``client`` first: the parent's side, which starts a worker and checks its answers. ``process``
is the pipe to it. ``main`` starts there, confines itself with ``confine`` and ``system_calls``, and
stays as ``supervisor`` of a child that runs ``serve``. ``bundle`` collects and checks a bundle.
``main`` and all that it imports use the standard library only.
"""
