//! A plugin of etl-host: predicts the rent of a flat with a linear model, until it holds yours.
//!
//! `README.md` says what to change first.
#![forbid(unsafe_code)]

use model_abi::{Example, LoadContext, LoadError, MLModel, ModelInfo, PredictError, json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

// The flats that the weights were fitted on. Beyond them the model knows nothing, so it refuses.
const AREA_M2: RangeInclusive<f64> = 10.0..=500.0;
const ROOMS: RangeInclusive<f64> = 1.0..=20.0;
const CENTRE_KM: RangeInclusive<f64> = 0.0..=50.0;

/// A flat to let.
// What the doc comments and ranges say, people see in `etl-host inspect`, and `etl-host check`
// makes flats after it.
#[derive(Deserialize, JsonSchema)]
struct Flat {
    /// Floor space, in square metres.
    #[schemars(range(min = *AREA_M2.start(), max = *AREA_M2.end()))]
    area_m2: f64,
    /// Rooms, kitchen and bath not counted.
    #[schemars(range(min = *ROOMS.start(), max = *ROOMS.end()))]
    rooms: f64,
    /// Way to the centre, in km.
    #[schemars(range(min = *CENTRE_KM.start(), max = *CENTRE_KM.end()))]
    centre_km: f64,
    /// Whether it is let with furniture. Default: no.
    #[serde(default)]
    furnished: bool,
}

/// What it is let for.
#[derive(Serialize, JsonSchema)]
struct Rent {
    /// Rent of a month, in euros.
    #[schemars(range(min = 0))]
    euros: f64,
}

// Every field has a default: without `--config` a model is given `{}`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// No rent is predicted lower than this, in euros. Default: 0.
    #[schemars(range(min = 0))]
    lowest_euros: f64,
}

/// Euros for each unit of a field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    intercept: f64,
    area_m2: f64,
    rooms: f64,
    centre_km: f64,
    furnished: f64,
}

/// The model, ready to predict. Many threads ask it at once.
struct LinearModel {
    weights: Weights,
    lowest_euros: f64,
}

impl MLModel for LinearModel {
    const INFO: ModelInfo = ModelInfo {
        display_name: "{{name}}",
        qualified_name: "{{name}}",
        description: "Predicts the rent of a flat from its size and place.",
        major_version: 0,
        minor_version: 1,
    };
    type Config = Config;
    type Input = Flat;
    type Output = Rent;

    fn load(config: Config, _: &LoadContext) -> Result<Self, LoadError> {
        let weights = Weights::from_json(include_str!("../data/weights.json"))?;
        LinearModel::new(weights, config)
    }

    fn predict(&self, flat: &Flat) -> Result<Rent, PredictError> {
        let weights = &self.weights;
        let euros = weights.intercept
            + weights.area_m2 * within(AREA_M2, "area_m2", flat.area_m2)?
            + weights.rooms * within(ROOMS, "rooms", flat.rooms)?
            + weights.centre_km * within(CENTRE_KM, "centre_km", flat.centre_km)?
            + weights.furnished * f64::from(u8::from(flat.furnished));
        Ok(Rent {
            euros: euros.max(self.lowest_euros),
        })
    }

    fn examples() -> Vec<Example> {
        let furnished = json!({"area_m2": 60, "rooms": 2, "centre_km": 4, "furnished": true});
        let empty = json!({"area_m2": 60, "rooms": 2, "centre_km": 4});
        // The first has every field: `etl-host check` leaves out one after the other.
        vec![
            Example::new(furnished, json!({"euros": 980.0})),
            Example::new(empty, json!({"euros": 830.0})),
        ]
    }
}

model_abi::export_models![LinearModel];

impl LinearModel {
    fn new(weights: Weights, config: Config) -> Result<Self, LoadError> {
        let lowest_euros = config.lowest_euros;
        if lowest_euros < 0.0 {
            return Err(LoadError::new(format!(
                "lowest_euros is {lowest_euros}, below 0"
            )));
        }
        Ok(LinearModel {
            weights,
            lowest_euros,
        })
    }
}

impl Weights {
    fn from_json(text: &str) -> Result<Self, LoadError> {
        model_abi::serde_json::from_str(text)
            .map_err(|error| LoadError::new(format!("weights.json: {error}")))
    }
}

/// The value of a field, or the error of a record in which it is out of range.
fn within(range: RangeInclusive<f64>, field: &str, value: f64) -> Result<f64, PredictError> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    let message = format!("{value:?} is not in the range from {least:?} to {most:?}");
    Err(PredictError::value(message).at(field))
}

// No host is needed to try a model.
#[cfg(test)]
mod tests {
    use super::*;
    use model_abi::serde_json::{from_value, to_value};
    use model_abi::{Value, json};

    fn load(config: Value) -> Result<LinearModel, LoadError> {
        LinearModel::load(from_value(config)?, &LoadContext::new("data", 1))
    }

    fn predict(config: Value, flat: Value) -> Result<Value, PredictError> {
        let model = load(config).expect("the model loads");
        let rent = model.predict(&from_value(flat)?)?;
        Ok(to_value(rent)?)
    }

    #[test]
    fn its_examples_give_their_answers() {
        for Example { input, output, .. } in LinearModel::examples() {
            assert_eq!(
                predict(json!({}), input.clone()).unwrap(),
                output,
                "{input}"
            );
        }
    }

    #[test]
    fn a_flat_out_of_range_is_refused_and_the_field_is_named() {
        let tower = json!({"area_m2": 1e300, "rooms": 2, "centre_km": 4});
        let error = predict(json!({}), tower).unwrap_err();
        assert_eq!(error.path(), "area_m2");
        assert_eq!(
            error.message(),
            "1e300 is not in the range from 10.0 to 500.0"
        );
    }

    #[test]
    fn the_lowest_rent_can_be_set_and_is_not_negative() {
        let far = json!({"area_m2": 10, "rooms": 1, "centre_km": 30});
        assert_eq!(
            predict(json!({}), far.clone()).unwrap(),
            json!({"euros": 0.0})
        );
        let lowest = json!({"lowest_euros": 200});
        assert_eq!(predict(lowest, far).unwrap(), json!({"euros": 200.0}));
        assert!(load(json!({"lowest_euros": -1})).is_err());
        assert!(load(json!({"lowset_euros": 200})).is_err());
    }
}
