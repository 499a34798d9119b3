//! The decisions of many rows at once: the same sums as [`Svc::decisions_plainly`], [`LANES`] rows
//! side by side, so that the compiler can put several into one register.
//!
//! Written as plain loops over arrays. `pulp` compiles them once for the processor that every
//! machine has and once for AVX2 with fused multiply-add, and chooses when it runs. The trap: all
//! that is called in here must be `#[inline(always)]`, or it is compiled for the former alone.
//!
//! [`Svc::decisions_plainly`]: super::svc::Svc::decisions_plainly

use super::svc::{FEATURES, PAIRS, SupportVector};
use pulp::{Simd, WithSimd};

/// Rows that are worked on at once: enough to keep the arithmetic units busy while each waits for
/// its own results, few enough that a block stays in the fastest cache (2 KiB).
pub(crate) const LANES: usize = 32;

/// A block of rows, feature by feature.
pub(crate) type Rows = [[f64; LANES]; FEATURES];
/// Their decisions, pair by pair.
pub(crate) type Decisions = [[f64; LANES]; PAIRS];

/// Adds the weighted kernels of all support vectors to `decisions`, which hold the intercepts.
pub(crate) struct AddKernels<'a> {
    pub(crate) vectors: &'a [SupportVector],
    pub(crate) gamma: f64,
    pub(crate) rows: &'a Rows,
    pub(crate) decisions: &'a mut Decisions,
}

impl WithSimd for AddKernels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Whatever has registers for several numbers has a fused multiply-add too; elsewhere it
        // would be a slow call.
        if S::F64_LANES > 1 { self.add::<true>() } else { self.add::<false>() }
    }
}

impl AddKernels<'_> {
    #[inline(always)]
    fn add<const FUSED: bool>(self) {
        for vector in self.vectors {
            let mut kernel = [0.0; LANES];
            for (lane, kernel) in kernel.iter_mut().enumerate() {
                let mut square = 0.0;
                for (row, feature) in self.rows.iter().zip(vector.features) {
                    let difference = row[lane] - feature;
                    square = multiply_add::<FUSED>(difference, difference, square);
                }
                *kernel = exp_of_negative::<FUSED>(-self.gamma * square);
            }
            for (decisions, weight) in self.decisions.iter_mut().zip(vector.weights) {
                for (decision, kernel) in decisions.iter_mut().zip(kernel) {
                    *decision = multiply_add::<FUSED>(weight, kernel, *decision);
                }
            }
        }
    }
}

/// `a * b + c`
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// e to the power of `x`, which is 0 or less. Within 4e-14 of it, relatively, down to -708, and
/// within 4e-13 where nothing is fused; what is less gives what -708 gives, 3e-308. NaN gives NaN.
///
/// With `x = n ln 2 + r`, n whole and `|r| <= ln 2 / 2`: the Taylor polynomial of degree 11 in `r`,
/// then n added to the exponent's bits (W. J. Cody and W. Waite, "Software manual for the
/// elementary functions", 1980, chapter 6).
#[inline(always)]
fn exp_of_negative<const FUSED: bool>(x: f64) -> f64 {
    /// 1.5 * 2^52: a number of moderate size that is added to it is rounded to a whole one, which
    /// stands in the lowest bits of the sum.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// 1/11!, 1/10!, … 1/0!
    const COEFFICIENTS: [f64; 12] = coefficients();
    let x = if x < -708.0 { -708.0 } else { x };
    let rounded = multiply_add::<FUSED>(x, std::f64::consts::LOG2_E, ROUND);
    let r = multiply_add::<FUSED>(rounded - ROUND, -std::f64::consts::LN_2, x);
    let mut power = COEFFICIENTS[0];
    for coefficient in &COEFFICIENTS[1..] {
        power = multiply_add::<FUSED>(power, r, *coefficient);
    }
    power * f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52)
}

const fn coefficients<const N: usize>() -> [f64; N] {
    let mut coefficients = [1.0; N];
    let mut n = 1;
    while n < N {
        coefficients[N - 1 - n] = coefficients[N - n] / n as f64;
        n += 1;
    }
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_of_e_is_that_of_the_standard_library() {
        for step in 0..1_000_000 {
            let x = -f64::from(step) * 7.08e-4;
            for found in [exp_of_negative::<true>(x), exp_of_negative::<false>(x)] {
                let error = (found / x.exp() - 1.0).abs();
                // Without a fused step the reduced argument is rounded once more.
                assert!(error < 4e-13, "e^{x} is not {found}");
            }
        }
    }

    #[test]
    fn what_is_out_of_reach_is_next_to_nothing_and_nan_stays_nan() {
        for x in [-709.0, -1e300, f64::NEG_INFINITY] {
            let found = exp_of_negative::<true>(x);
            assert!((0.0..1e-300).contains(&found), "e^{x} is not {found}");
        }
        assert!(exp_of_negative::<true>(f64::NAN).is_nan());
        assert_eq!(exp_of_negative::<true>(0.0), 1.0);
        assert_eq!(exp_of_negative::<false>(-0.0), 1.0);
    }
}
