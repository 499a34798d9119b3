//! A light model as a plugin of `etl-host`: a sum of four products. What a run with it costs is
//! what everything but the model costs; that is its use (`benches/`).
//!
//! Where the weights come from stands in `README.md`.
#![forbid(unsafe_code)]

use model_abi::{
    Example, LoadContext, LoadError, MLModel, ModelInfo, NoConfig, PredictError, json,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// Where a flower stands between the species.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Prediction {
    /// About 0 for setosa, 1 for versicolor, 2 for virginica.
    pub score: f64,
}

/// The fitted model; ready to predict.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearModel {
    intercept: f64,
    sepal_length: f64,
    sepal_width: f64,
    petal_length: f64,
    petal_width: f64,
}

impl LinearModel {
    /// With the weights that it ships with.
    pub fn fitted() -> serde_json::Result<Self> {
        serde_json::from_str(include_str!("../data/weights.json"))
    }

    /// The intercept and each measure by its weight. Measures near the largest `f64` can give an
    /// infinite score.
    pub fn score(&self, flower: &Flower) -> Prediction {
        let score = self.intercept
            + self.sepal_length * flower.sepal_length
            + self.sepal_width * flower.sepal_width
            + self.petal_length * flower.petal_length
            + self.petal_width * flower.petal_width;
        Prediction { score }
    }
}

impl MLModel for LinearModel {
    const INFO: ModelInfo = ModelInfo {
        display_name: "Linear Model",
        qualified_name: "linear_model",
        description: "A light model for scoring a flower based on its measurements.",
        major_version: 0,
        minor_version: 1,
    };
    type Config = NoConfig;
    type Input = Flower;
    type Output = Prediction;

    fn load(_: NoConfig, _: &LoadContext) -> Result<Self, LoadError> {
        Ok(Self::fitted()?)
    }

    fn predict(&self, flower: &Flower) -> Result<Prediction, PredictError> {
        Ok(self.score(flower))
    }

    fn examples() -> Vec<Example> {
        let flower = |sepal_length, sepal_width, petal_length, petal_width| {
            json!({
                "sepal_length": sepal_length, "sepal_width": sepal_width,
                "petal_length": petal_length, "petal_width": petal_width,
            })
        };
        vec![
            Example::new(flower(4.4, 2.9, 1.4, 0.2), json!({"score": 0.01983242805567162})),
            Example::new(flower(6.4, 3.2, 4.5, 1.5), json!({"score": 1.2848241290597735})),
            Example::new(flower(6.3, 3.3, 6.0, 2.5), json!({"score": 2.244226360785941})),
        ]
    }
}

model_abi::export_models![LinearModel];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_scores_as_scikit_learn() {
        #[derive(Deserialize)]
        struct Row {
            input: Flower,
            score: f64,
        }
        let model = LinearModel::fitted().unwrap();
        let rows = include_str!("../data/parity.ldjson").lines();
        let rows: Vec<Row> = rows.map(|row| serde_json::from_str(row).unwrap()).collect();
        assert_eq!(rows.len(), 60);
        for (index, Row { input, score }) in rows.iter().enumerate() {
            let ours = model.score(input).score;
            assert!((ours - score).abs() < 1e-12, "row {index}: {ours} is not {score}");
        }
    }

    #[test]
    fn a_flower_without_a_measure_is_no_flower() {
        let flower = json!({"sepal_length": 1, "sepal_width": 1, "petal_length": 1});
        assert!(serde_json::from_value::<Flower>(flower).is_err());
    }
}
