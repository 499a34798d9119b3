//! The iris model as a plugin of `etl-host`: names, types and the border. The maths is in
//! [`svc`], many rows at a time in `kernel.rs`; where the weights come from stands in `README.md`.
#![forbid(unsafe_code)]

mod kernel;
pub mod svc;

use model_abi::{Example, LoadContext, LoadError, MLModel, ModelInfo, NoConfig};
use model_abi::{PredictError, Trace, json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use svc::Svc;

/// Measurements of a flower.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Flower {
    /// Length of the sepal of the flower, in cm.
    pub sepal_length: f64,
    /// Width of the sepal of the flower, in cm.
    pub sepal_width: f64,
    /// Length of the petal of the flower, in cm.
    pub petal_length: f64,
    /// Width of the petal of the flower, in cm.
    pub petal_width: f64,
}

impl Flower {
    /// The four measures in the order of the support vectors.
    pub fn features(&self) -> [f64; 4] {
        [self.sepal_length, self.sepal_width, self.petal_length, self.petal_width]
    }
}

/// Predicted species of a flower.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Prediction {
    /// The species.
    pub species: Species,
}

impl Prediction {
    fn of(decisions: &[f64; svc::PAIRS]) -> Self {
        Prediction { species: Species::ALL[svc::vote(decisions)] }
    }
}

/// The three species of the iris data, in the order of the model's classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "names of flowers")]
pub enum Species {
    Setosa,
    Versicolor,
    Virginica,
}

impl Species {
    /// In the order of the model's classes.
    pub const ALL: [Species; 3] = [Species::Setosa, Species::Versicolor, Species::Virginica];
}

/// The model, ready to predict.
pub struct IrisModel {
    svc: Svc,
}

impl MLModel for IrisModel {
    const INFO: ModelInfo = ModelInfo {
        display_name: "Iris Model",
        qualified_name: "iris_model",
        description: "A machine learning model for predicting the species of a flower based on \
                      its measurements.",
        major_version: 0,
        minor_version: 1,
    };
    type Config = NoConfig;
    type Input = Flower;
    type Output = Prediction;

    fn load(_: NoConfig, _: &LoadContext) -> Result<Self, LoadError> {
        let svc = Svc::from_json(include_str!("../data/svc.json"))?;
        if svc.classes != ["setosa", "versicolor", "virginica"] {
            return Err(LoadError::new(format!(
                "the weights are for the classes {:?}",
                svc.classes
            )));
        }
        Ok(IrisModel { svc })
    }

    fn predict(&self, flower: &Flower) -> Result<Prediction, PredictError> {
        self.predict_traced(flower, &mut Trace::default())
    }

    fn predict_batch(&self, flowers: &[Flower]) -> Option<Vec<Result<Prediction, PredictError>>> {
        let rows: Vec<_> = flowers.iter().map(Flower::features).collect();
        let decisions = self.svc.decisions(&rows);
        Some(decisions.iter().map(|decisions| Ok(Prediction::of(decisions))).collect())
    }

    fn predict_traced(
        &self,
        flower: &Flower,
        trace: &mut Trace,
    ) -> Result<Prediction, PredictError> {
        // Not the plain sum: a flower on a border must not get another species alone than in a batch.
        let decisions = self.svc.decisions(&[flower.features()])[0];
        trace.note("decisions", decisions);
        Ok(Prediction::of(&decisions))
    }

    fn examples() -> Vec<Example> {
        let flower = |sepal_length, sepal_width, petal_length, petal_width| {
            json!({
                "sepal_length": sepal_length, "sepal_width": sepal_width,
                "petal_length": petal_length, "petal_width": petal_width,
            })
        };
        vec![
            Example::new(flower(4.4, 2.9, 1.4, 0.2), json!({"species": "setosa"})),
            Example::new(flower(6.4, 3.2, 4.5, 1.5), json!({"species": "versicolor"})),
            Example::new(flower(6.3, 3.3, 6.0, 2.5), json!({"species": "virginica"})),
            Example::new(flower(1.0, 1.0, 1.0, 1.0), json!({"species": "setosa"})),
        ]
    }
}

model_abi::export_models![IrisModel];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn model() -> IrisModel {
        IrisModel::load(NoConfig {}, &LoadContext::new("/", 1)).unwrap()
    }

    /// Species identical, decisions within 1e-9 of those that scikit-learn gave, for each flower
    /// alone and for all of them at once.
    #[track_caller]
    fn check_parity(rows: &str, expected_rows: usize) {
        #[derive(Deserialize)]
        struct Row {
            input: Flower,
            species: Species,
            decision: [f64; svc::PAIRS],
        }
        let model = model();
        let rows: Vec<Row> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
        assert_eq!(rows.len(), expected_rows);
        let features: Vec<_> = rows.iter().map(|row| row.input.features()).collect();
        let at_once = model.svc.decisions(&features);
        assert_eq!(at_once.len(), rows.len());
        for (index, (row, at_once)) in rows.iter().zip(at_once).enumerate() {
            assert_eq!(Prediction::of(&at_once).species, row.species, "row {index}");
            assert_eq!(model.predict(&row.input).unwrap().species, row.species, "row {index}");
            assert_eq!(model.svc.decisions(&[features[index]]), [at_once], "row {index} alone");
            for decisions in [at_once, model.svc.decisions_plainly(features[index])] {
                for (ours, theirs) in decisions.iter().zip(row.decision) {
                    assert!((ours - theirs).abs() < 1e-9, "row {index}: {ours} is not {theirs}");
                }
            }
        }
    }

    #[test]
    fn it_decides_as_scikit_learn_on_the_iris_data() {
        check_parity(include_str!("../data/parity_iris.ldjson"), 150);
    }

    #[test]
    fn it_decides_as_scikit_learn_on_random_flowers() {
        check_parity(include_str!("../data/parity_random.ldjson"), 500);
    }

    #[test]
    fn its_examples_give_their_answers() {
        for Example { input, output, .. } in IrisModel::examples() {
            let flower = serde_json::from_value(input.clone()).unwrap();
            let prediction = model().predict(&flower).unwrap();
            assert_eq!(serde_json::to_value(prediction).unwrap(), output, "{input}");
        }
    }

    #[test]
    fn a_trace_holds_the_decisions_and_changes_nothing() {
        let flower: Flower =
            serde_json::from_value(IrisModel::examples()[0].input.clone()).unwrap();
        let mut trace = Trace::default();
        let prediction = model().predict_traced(&flower, &mut trace).unwrap();
        assert_eq!(prediction.species, Species::Setosa);
        assert_eq!(trace.get("decisions").and_then(Value::as_array).map(Vec::len), Some(3));
    }

    #[test]
    fn wrong_data_is_no_flower() {
        let wrong = json!({"name": "Sue", "age": "28", "gender": "Squid"});
        assert!(serde_json::from_value::<Flower>(wrong).is_err());
    }
}
