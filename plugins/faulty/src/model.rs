//! The model: what a parcel costs. Honest but for the faults that only a model's own code can have.
//!
//! Each fault shows only on inputs that one check asks about. The examples are never among them:
//! most checks begin there. Their parcels have three sides, so those of two sides are only made up
//! from the schema.

use crate::{conduct, fault, lives};
use model_abi::{Example, LoadContext, LoadError, MLModel, ModelInfo, PredictError, Trace, json};
use schemars::JsonSchema;
use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};

/// A parcel to be sent.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Parcel {
    /// Weight, in kg.
    #[schemars(range(min = 0.0))]
    pub(crate) weight_kg: f64,
    /// How many like this one.
    #[schemars(range(min = 1, max = 200))]
    pub(crate) pieces: u8,
    /// What is in it.
    pub(crate) content: String,
    /// A word to whoever brings it.
    pub(crate) note: Option<String>,
    /// What it is insured for, in euros.
    pub(crate) value_euros: Option<f64>,
    /// Its sides, in cm.
    pub(crate) sides_cm: Vec<f64>,
    /// Where it goes.
    pub(crate) to: Place,
    /// How fast.
    pub(crate) service: Service,
}

/// Where a parcel goes.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Place {
    /// Zones away.
    pub(crate) zone: i64,
    /// Whether it is on an island.
    pub(crate) island: bool,
}

/// How fast a parcel goes.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Service {
    Normal,
    Express,
}

/// What it costs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Price {
    /// In euros.
    #[serde(serialize_with = "written")]
    #[schemars(with = "f64", range(min = 0.0))]
    pub(crate) euros: f64,
    /// What it counts as.
    pub(crate) class: Class,
}

/// What a parcel counts as.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    Small,
    Large,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// What every parcel costs, in euros. Default: 4.
    #[schemars(range(min = 0.0))]
    base_euros: f64,
    /// Sides from which a parcel is large, in cm. Default: 60.
    large_cm: u16,
    /// Whether anything is brought to islands. Default: true.
    islands: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config { base_euros: 4.0, large_cm: 60, islands: true }
    }
}

pub(crate) struct ParcelPrice {
    config: Config,
}

impl MLModel for ParcelPrice {
    const INFO: ModelInfo = ModelInfo {
        display_name: "Parcel price",
        qualified_name: "parcel_price",
        description: "Says what it costs to send a parcel.",
        major_version: 1,
        minor_version: 2,
    };
    type Config = Config;
    type Input = Parcel;
    type Output = Price;

    fn load(mut config: Config, context: &LoadContext) -> Result<Self, LoadError> {
        if !(0.0..=1000.0).contains(&config.base_euros) {
            return Err(LoadError::new("base_euros must be from 0 to 1000"));
        }
        conduct::load();
        if fault("thread-count-changes-nothing") && context.threads == 8 {
            config.base_euros += 1.0;
        }
        Ok(ParcelPrice { config })
    }

    fn predict(&self, parcel: &Parcel) -> Result<Price, PredictError> {
        conduct::predict();
        panic_over(parcel);
        if let Some(price) = wrong_price(parcel) {
            return Ok(price);
        }
        let Parcel { weight_kg, pieces, value_euros, sides_cm, to, service, .. } = parcel;
        if *weight_kg < 0.0 {
            return Err(PredictError::value("nothing weighs less than nothing").at("weight_kg"));
        }
        if to.island && !self.config.islands {
            return Err(PredictError::value("nothing is brought to islands").at("to.island"));
        }
        let far = 1.0 + (to.zone.clamp(0, 9) as f64) / 10.0;
        let fast = if *service == Service::Express { 2.0 } else { 1.0 };
        let one = self.config.base_euros + weight_kg.ln_1p() * far * fast;
        let insured = value_euros.unwrap_or_default().clamp(0.0, 1e6) / 100.0;
        let longest = sides_cm.iter().copied().fold(0.0, f64::max);
        let is_large = longest >= f64::from(self.config.large_cm);
        Ok(Price {
            euros: one * f64::from(*pieces) + insured,
            class: if is_large { Class::Large } else { Class::Small },
        })
    }

    fn predict_batch(&self, parcels: &[Parcel]) -> Option<Vec<Result<Price, PredictError>>> {
        Some(parcels.iter().map(|parcel| self.predict(parcel)).collect())
    }

    fn predict_traced(&self, parcel: &Parcel, trace: &mut Trace) -> Result<Price, PredictError> {
        trace.note("base_euros", self.config.base_euros);
        trace.note("sides", parcel.sides_cm.len());
        let mut price = self.predict(parcel)?;
        if fault("tracing-changes-nothing") {
            price.euros += 1.0;
        }
        Ok(price)
    }

    fn examples() -> Vec<Example> {
        let parcel = |weight_kg: f64, pieces, note, sides_cm: [f64; 3], service| {
            json!({
                "weight_kg": weight_kg, "pieces": pieces, "content": "books", "note": note,
                "value_euros": 50.5, "sides_cm": sides_cm, "to": {"zone": 2, "island": false},
                "service": service,
            })
        };
        vec![
            Example::new(
                parcel(0.0, 1, "ring twice", [20.0, 15.5, 10.0], "normal"),
                json!({"euros": 4.505, "class": "small"}),
            ),
            Example::new(
                parcel(2.5, 3, "leave it with the baker", [70.0, 30.0, 12.5], "express"),
                json!({"euros": 21.524_893_372_371_052, "class": "large"}),
            ),
        ]
    }

    fn fingerprint(&self) -> Option<String> {
        let loads = if fault("fingerprint-stays") { lives::loads() } else { 0 };
        Some(format!("tariff of {}, base {}", 2024 + loads, self.config.base_euros))
    }
}

/// Whether a parcel is one that a fault shows on.
type Shows = fn(&Parcel) -> bool;

/// Faults that are a panic: on which parcels.
const PANICS: &[(&str, Shows)] = &[
    ("generated-inputs-never-panic", |parcel| parcel.sides_cm.len() == 2),
    ("empty-strings", |parcel| parcel.content.is_empty()),
    ("long-strings", |parcel| parcel.content.len() > 1 << 19),
    ("odd-strings", |parcel| parcel.note.as_ref().is_some_and(|note| note.contains('\0'))),
    ("extreme-numbers", |parcel| parcel.weight_kg == 5e-324),
    ("empty-arrays", |parcel| parcel.sides_cm.is_empty()),
    ("long-arrays", |parcel| parcel.sides_cm.len() > 5000),
];

fn panic_over(parcel: &Parcel) {
    if let Some((name, _)) = PANICS.iter().find(|(name, panics)| fault(name) && panics(parcel)) {
        panic!("{name}");
    }
}

/// Faults that are a prediction, of parcels with two sides: the price in euros.
const PRICES: &[(&str, f64)] = &[
    ("generated-outputs-fit-the-schema", -1.0),
    ("predictions-are-finite", f64::NAN),
    ("predictions-can-be-written", UNSPEAKABLE),
];

const UNSPEAKABLE: f64 = 666.0;

fn wrong_price(parcel: &Parcel) -> Option<Price> {
    let (_, euros) = *PRICES.iter().find(|(name, _)| fault(name))?;
    (parcel.sides_cm.len() == 2).then_some(Price { euros, class: Class::Small })
}

fn written<S: Serializer>(euros: &f64, to: S) -> Result<S::Ok, S::Error> {
    if *euros == UNSPEAKABLE && fault("predictions-can-be-written") {
        return Err(Error::custom("nobody says this price aloud"));
    }
    to.serialize_f64(*euros)
}
