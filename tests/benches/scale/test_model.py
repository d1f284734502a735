"""Tests of model.py, with numbers worked out by hand: python3 -m unittest test_model"""

import unittest

from model import Cluster, Link, Step, all_reduce, buckets, efficiency, fit, overlap_of, reduced, seconds

SLOW = Link(1e6, 1e-3)
TWO = Cluster(1, 2, SLOW, SLOW)
MB = 1 << 20


class Model(unittest.TestCase):
    def test_a_line_goes_through_two_measurements(self):
        self.assertAlmostEqual(fit([(64, 41.2), (16, 12.4)])[1], 0.6)
        self.assertAlmostEqual(fit([(64, 41.2), (16, 12.4)])[0], 2.8)
        # No step takes less than nothing.
        self.assertEqual(fit([(1, 1.0), (4, 8.0)]), (0.0, 2.0))

    def test_buckets_hold_all_gradients(self):
        self.assertEqual(buckets(MB / 2), [MB / 2])
        self.assertEqual(buckets(26 * MB), [MB, 25 * MB])
        self.assertEqual(buckets(31 * MB), [MB, 25 * MB, 5 * MB])

    def test_an_all_reduce_sends_nearly_all_bytes_twice(self):
        self.assertEqual(reduced(1e6, 1, SLOW), 0)
        self.assertAlmostEqual(reduced(1e6, 2, SLOW), 1 + 0.002)
        self.assertAlmostEqual(reduced(1e6, 8, SLOW), 1.75 + 0.006)
        # 8 ranks in a machine, and an eighth of the bytes of each rank among 4 machines.
        fast = Link(1e7, 0)
        self.assertAlmostEqual(all_reduce(1e6, Cluster(4, 8, fast, SLOW)), 0.175 + 1.5 / 8 + 0.004)

    def test_what_no_backward_pass_hides_is_added(self):
        # 1 MB takes 1.0505 s here, and the backward pass 2 s.
        step = Step(1, 0.5, MB)
        reduce = MB / 1e6 + 0.002
        self.assertAlmostEqual(seconds(step, 4, Cluster(1, 1, SLOW, SLOW), 0), 3)
        # A single bucket is ready at the end, and nothing hides it.
        for overlap in (0, 1):
            self.assertAlmostEqual(seconds(step, 4, TWO, overlap), 3 + reduce)
        # The first of two is ready in the middle of the backward pass of 20 s, and the second needs 5.2 s after it.
        step = Step(30, 0, 6 * MB)
        last = 5 * MB / 1e6 + 0.002
        self.assertAlmostEqual(seconds(step, 4, TWO, 1), 30 + last)
        self.assertAlmostEqual(seconds(step, 4, TWO, 0), 30 + reduce + last)
        self.assertAlmostEqual(efficiency(step, 4, TWO, 1), 30 / (30 + last))
        # Sums of BatchNorm are waited for.
        step = Step(30, 0, 6 * MB, 36, 500)
        self.assertAlmostEqual(seconds(step, 4, TWO, 1), 30 + last + 36 * (500 / 1e6 + 0.002))

    def test_a_slow_link_hides_behind_nothing(self):
        step = Step(0.01, 0, 101 * MB)
        whole = sum(all_reduce(size, TWO) for size in buckets(step.gradients))
        self.assertGreater(seconds(step, 1, TWO, 1), whole)
        self.assertLess(seconds(step, 1, TWO, 1), whole + 0.01)

    def test_the_overlap_is_found_again(self):
        step = Step(300, 0, 80 * MB, 4, 100)
        for overlap in (0.1, 0.35, 0.8):
            took = seconds(step, 8, TWO, overlap)
            found = overlap_of(took, step, 8, TWO)
            self.assertLessEqual(found, overlap + 1e-9)
            self.assertAlmostEqual(seconds(step, 8, TWO, found), took, places=6)
        self.assertEqual((overlap_of(1e9, step, 8, TWO), overlap_of(1, step, 8, TWO)), (0, 1))


if __name__ == "__main__":
    unittest.main()
