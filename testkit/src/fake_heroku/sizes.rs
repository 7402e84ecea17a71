//! The dyno sizes: names, prices, memory, and which may stand beside which.
//!
//! Names and prices are those of Heroku's own command line client, version 11.

use serde_json::{Value, json};

use super::{identity::id_of, setup::Generation};

/// What may be mixed with what, and how many of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Eco,
    Basic,
    Standard,
    Performance,
    Private,
    Shield,
    Fir,
}

impl Tier {
    /// Most dynos of one process type, where there is a limit besides the app's.
    pub(crate) fn most_per_type(self) -> Option<u32> {
        match self {
            Self::Eco | Self::Basic => Some(1),
            Self::Performance | Self::Private | Self::Shield => Some(10),
            Self::Standard | Self::Fir => None,
        }
    }

    /// The group that sizes of one app must share.
    pub(crate) fn group(self) -> &'static str {
        match self {
            Self::Eco => "Eco",
            Self::Basic => "Basic",
            Self::Standard | Self::Performance | Self::Fir => "Production",
            Self::Private => "Private",
            Self::Shield => "Shield",
        }
    }

    fn generation(self) -> Generation {
        if self == Self::Fir { Generation::Fir } else { Generation::Cedar }
    }
}

/// One size.
#[derive(Debug)]
pub(crate) struct DynoSize {
    pub(crate) name: &'static str,
    pub(crate) tier: Tier,
    dollars: u32,
    memory_gigabytes: f64,
}

const fn size(name: &'static str, tier: Tier, dollars: u32, memory_gigabytes: f64) -> DynoSize {
    DynoSize { name, tier, dollars, memory_gigabytes }
}

/// Every size there is. The memory of the Private and Shield ones is taken from the Performance size of the same rank.
pub(crate) const SIZES: &[DynoSize] = &[
    size("Eco", Tier::Eco, 0, 0.5),
    size("Basic", Tier::Basic, 7, 0.5),
    size("Standard-1X", Tier::Standard, 25, 0.5),
    size("Standard-2X", Tier::Standard, 50, 1.0),
    size("Performance-M", Tier::Performance, 250, 2.5),
    size("Performance-L", Tier::Performance, 500, 14.0),
    size("Performance-L-RAM", Tier::Performance, 500, 30.0),
    size("Performance-XL", Tier::Performance, 750, 62.0),
    size("Performance-2XL", Tier::Performance, 1500, 126.0),
    size("Private-S", Tier::Private, 225, 1.0),
    size("Private-M", Tier::Private, 450, 2.5),
    size("Private-L", Tier::Private, 900, 14.0),
    size("Private-L-RAM", Tier::Private, 500, 30.0),
    size("Private-XL", Tier::Private, 750, 62.0),
    size("Private-2XL", Tier::Private, 1500, 126.0),
    size("Shield-S", Tier::Shield, 270, 1.0),
    size("Shield-M", Tier::Shield, 540, 2.5),
    size("Shield-L", Tier::Shield, 1080, 14.0),
    size("Shield-L-RAM", Tier::Shield, 600, 30.0),
    size("Shield-XL", Tier::Shield, 900, 62.0),
    size("Shield-2XL", Tier::Shield, 1800, 126.0),
    size("dyno-1c-0.5gb", Tier::Fir, 25, 0.5),
    size("dyno-2c-1gb", Tier::Fir, 50, 1.0),
    size("dyno-1c-4gb", Tier::Fir, 80, 4.0),
    size("dyno-1c-8gb", Tier::Fir, 100, 8.0),
    size("dyno-2c-4gb", Tier::Fir, 150, 4.0),
    size("dyno-2c-8gb", Tier::Fir, 160, 8.0),
    size("dyno-2c-16gb", Tier::Fir, 250, 16.0),
    size("dyno-4c-8gb", Tier::Fir, 300, 8.0),
    size("dyno-4c-16gb", Tier::Fir, 320, 16.0),
    size("dyno-4c-32gb", Tier::Fir, 500, 32.0),
    size("dyno-8c-16gb", Tier::Fir, 600, 16.0),
    size("dyno-8c-32gb", Tier::Fir, 640, 32.0),
    size("dyno-8c-64gb", Tier::Fir, 750, 64.0),
    size("dyno-16c-32gb", Tier::Fir, 1200, 32.0),
    size("dyno-16c-64gb", Tier::Fir, 1000, 64.0),
    size("dyno-16c-128gb", Tier::Fir, 1500, 128.0),
    size("dyno-32c-64gb", Tier::Fir, 2400, 64.0),
];

/// The size of this name, in any letter case, or of this id.
pub(crate) fn find(name_or_id: &str) -> Option<&'static DynoSize> {
    SIZES.iter().find(|size| size.name.eq_ignore_ascii_case(name_or_id) || size.id() == name_or_id)
}

/// The sizes that an app of this generation may use. Private spaces are not modelled, so their sizes are left out.
pub(crate) fn available(generation: Generation) -> impl Iterator<Item = &'static DynoSize> {
    SIZES.iter().filter(move |size| size.usable(generation))
}

impl DynoSize {
    /// Its id.
    pub(crate) fn id(&self) -> String {
        id_of("dyno-size", self.name)
    }

    /// Whether an app of this generation, outside a private space, may use it.
    pub(crate) fn usable(&self, generation: Generation) -> bool {
        self.tier.generation() == generation && !self.private()
    }

    fn private(&self) -> bool {
        matches!(self.tier, Tier::Private | Tier::Shield)
    }

    /// As the catalogue shows it. `compute` and `precise_dyno_units` are derived from the price and not verified.
    pub(crate) fn json(&self) -> Value {
        let generation = self.tier.generation();
        json!({
            "architecture": "amd64",
            "compute": self.dollars / 25,
            "cost": { "cents": self.dollars * 100, "unit": "month" },
            "dedicated": !matches!(self.tier, Tier::Eco | Tier::Basic | Tier::Standard),
            "generation": generation.json(),
            "id": self.id(),
            "memory": self.memory_gigabytes,
            "name": self.name,
            "precise_dyno_units": f64::from(self.dollars) / 25.0,
            "private_space_only": self.private(),
        })
    }
}
