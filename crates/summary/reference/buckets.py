"""Prints the values that the tests in src/histogram.rs expect: python3 reference/buckets.py

TensorFlow's histograms (tensorflow/core/lib/histogram/histogram.cc, InitDefaultBucketsInner) have limits that begin at
1e-12 and grow by a tenth while they are below 1e20, then the largest double; the same below zero; and zero.
"""

import sys

above = []
limit = 1e-12
while limit < 1e20:
    above.append(limit)
    limit *= 1.1
above.append(sys.float_info.max)
limits = [-limit for limit in reversed(above)] + [0.0] + above
print(len(limits), "limits; zero is number", limits.index(0.0))
print("around zero", limits[774:778])
print("the largest below infinity", limits[-2])
