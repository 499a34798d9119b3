//! A support vector classifier with an RBF kernel, one vote for each pair of classes.
//!
//! The maths of LIBSVM's C-SVC as scikit-learn's `SVC` exposes it (Chang & Lin, "LIBSVM: A library
//! for support vector machines", 2011, section 4.1 and 7.1). Knows nothing of plugins.

use super::kernel::{AddKernels, LANES};
use pulp::Arch;
use serde::Deserialize;
use serde::de::Error;

/// How many measures a row has.
pub const FEATURES: usize = 4;
/// How many classes there are.
pub const CLASSES: usize = 3;
/// Pairs of classes, in the order 01, 02, 12.
pub const PAIRS: usize = 3;

/// A fitted classifier.
#[derive(Debug)]
pub struct Svc {
    /// Names of the classes.
    pub classes: Vec<String>,
    gamma: f64,
    vectors: Vec<SupportVector>,
    intercepts: [f64; PAIRS],
    /// What the processor can do.
    arch: Arch,
}

#[derive(Debug)]
pub(crate) struct SupportVector {
    pub(crate) features: [f64; FEATURES],
    /// Weight in the decision of each pair; 0 in the pair that its class has no part in.
    pub(crate) weights: [f64; PAIRS],
}

/// The file's form: scikit-learn's fitted attributes.
#[derive(Deserialize)]
struct Fitted {
    gamma: f64,
    classes: Vec<String>,
    /// Support vectors of each class; they stand in class order.
    n_support: [usize; CLASSES],
    support_vectors: Vec<[f64; FEATURES]>,
    /// `[CLASSES - 1, vectors]`: for a vector of class `c`, row `r` is its weight against the
    /// `r`-th of the other classes.
    dual_coef: [Vec<f64>; CLASSES - 1],
    intercept: [f64; PAIRS],
}

impl Svc {
    /// Reads scikit-learn's fitted attributes (see `README.md`); refuses what doesn't fit together.
    pub fn from_json(text: &str) -> serde_json::Result<Self> {
        let fitted: Fitted = serde_json::from_str(text)?;
        let count = fitted.support_vectors.len();
        let [against_first, against_second] = &fitted.dual_coef;
        if fitted.n_support.iter().sum::<usize>() != count
            || against_first.len() != count
            || against_second.len() != count
        {
            return Err(Error::custom("n_support, support_vectors and dual_coef differ in length"));
        }
        let classes = (0..CLASSES).flat_map(|c| std::iter::repeat_n(c, fitted.n_support[c]));
        let vectors = fitted.support_vectors.into_iter().zip(classes).enumerate();
        let vectors = vectors.map(|(index, (features, class))| {
            let (first, second) = (against_first[index], against_second[index]);
            let weights = match class {
                0 => [first, second, 0.0], // against 1, against 2
                1 => [first, 0.0, second], // against 0, against 2
                _ => [0.0, first, second], // against 0, against 1
            };
            SupportVector { features, weights }
        });
        Ok(Svc {
            classes: fitted.classes,
            gamma: fitted.gamma,
            vectors: vectors.collect(),
            intercepts: fitted.intercept,
            arch: Arch::new(),
        })
    }

    /// For each row the decision of each pair of classes: positive for the first class of the pair.
    ///
    /// `rows`: sepal length, sepal width, petal length, petal width, in cm. A row's decisions don't
    /// depend on the rows beside it.
    pub fn decisions(&self, rows: &[[f64; FEATURES]]) -> Vec<[f64; PAIRS]> {
        let mut all = Vec::with_capacity(rows.len());
        for rows in rows.chunks(LANES) {
            let mut block = [[0.0; LANES]; FEATURES];
            for (lane, row) in rows.iter().enumerate() {
                for (column, feature) in block.iter_mut().zip(row) {
                    column[lane] = *feature;
                }
            }
            let mut decisions = self.intercepts.map(|intercept| [intercept; LANES]);
            self.arch.dispatch(AddKernels {
                vectors: &self.vectors,
                gamma: self.gamma,
                rows: &block,
                decisions: &mut decisions,
            });
            all.extend((0..rows.len()).map(|lane| decisions.map(|pair| pair[lane])));
        }
        all
    }

    /// The same for one row, as plainly as it can be written: what [`Svc::decisions`] is held
    /// against.
    pub fn decisions_plainly(&self, row: [f64; FEATURES]) -> [f64; PAIRS] {
        let mut decisions = self.intercepts;
        for vector in &self.vectors {
            let differences = row.iter().zip(vector.features);
            let square: f64 = differences.map(|(a, b)| (a - b) * (a - b)).sum();
            let kernel = (-self.gamma * square).exp();
            for (decision, weight) in decisions.iter_mut().zip(vector.weights) {
                *decision += weight * kernel;
            }
        }
        decisions
    }
}

/// The class with the most votes; the lower one of equals.
pub fn vote(decisions: &[f64; PAIRS]) -> usize {
    const SIDES: [(usize, usize); PAIRS] = [(0, 1), (0, 2), (1, 2)];
    let mut votes = [0; CLASSES];
    for (decision, (first, second)) in decisions.iter().zip(SIDES) {
        votes[if *decision > 0.0 { first } else { second }] += 1;
    }
    let mut winner = 0;
    for class in 1..CLASSES {
        if votes[class] > votes[winner] {
            winner = class;
        }
    }
    winner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_classes_with_equal_votes_the_lower_one_wins() {
        assert_eq!(vote(&[1.0, -1.0, 1.0]), 0); // one vote each
        assert_eq!(vote(&[-1.0, -1.0, 1.0]), 1);
        assert_eq!(vote(&[-1.0, -1.0, -1.0]), 2);
    }

    #[test]
    fn weights_that_do_not_fit_together_are_refused() {
        let text = include_str!("../data/svc.json").replace("[4, 23, 20]", "[4, 23, 21]");
        assert!(Svc::from_json(&text).unwrap_err().to_string().contains("n_support"));
    }
}
