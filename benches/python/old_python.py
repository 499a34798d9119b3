"""Imported before Bonobo 0.6.4 (2019): gives `collections` the names that Python 3.10 took away."""

import collections
import collections.abc

for name in collections.abc.__all__:
    if not hasattr(collections, name):
        setattr(collections, name, getattr(collections.abc, name))
