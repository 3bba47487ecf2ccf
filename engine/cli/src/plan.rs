//! Loading a plan as the command line names it.

use crate::discover::Asker;
use crate::failure::{Answer, Failure, INVALID};
use crate::ui;
use caxplan_core::load::{
    Diagnostics, Entry, LoadRequest, Loaded, Monitor, NO_ACTIONS, ReadError, declared_params, load, load_all,
    missing_params, monitors,
};
use caxplan_model::{ActionCall, Map, Value};
use caxplan_run::Registry;
use clap::Args;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A plan and what it is loaded with.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PlanArguments {
    /// The plan's file; `FILE#ENTRY` names one plan of a file that holds several
    #[arg(value_name = "PLAN", required = true)]
    pub(crate) plan: Option<PlanPath>,
    #[command(flatten)]
    pub(crate) params: ParamArguments,
    /// Bind the plan's bare step names by this action library (can be repeated; a later one wins)
    #[arg(long = "use", value_name = "FILE")]
    pub(crate) libraries: Vec<PathBuf>,
    /// Use the targets of this inventory in place of the plan's own
    #[arg(long, value_name = "FILE")]
    pub(crate) inventory: Option<PathBuf>,
    /// Act only on the targets that this selects: names with `*`, `group:NAME`, `label=value`, `!` for not, `,` for and
    /// (can be repeated: then one of them is enough)
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) limit: Vec<String>,
    /// Whether the sources of its inventory may be asked for targets.
    #[arg(skip)]
    pub(crate) contact: Contact,
}

/// Whether loading a plan may ask the sources of its inventory for targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Contact {
    /// Nothing outside of the plan's files is looked at: a plan of a stranger can be validated.
    #[default]
    None,
    /// They are asked.
    Allowed,
}

/// Which plan: a file, and which of the plans in it.
#[derive(Clone, Debug)]
pub(crate) struct PlanPath {
    /// The file.
    pub(crate) file: PathBuf,
    /// The entry behind `#`, for a calendar or a policy.
    pub(crate) entry: Option<String>,
}

impl std::str::FromStr for PlanPath {
    type Err = std::convert::Infallible;

    /// A file that is there under the whole text goes before an entry of another.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let split = text.rsplit_once('#').filter(|_| !Path::new(text).exists());
        Ok(match split {
            Some((file, entry)) => Self {
                file: PathBuf::from(file),
                entry: Some(entry.to_owned()),
            },
            None => Self {
                file: PathBuf::from(text),
                entry: None,
            },
        })
    }
}

impl std::fmt::Display for PlanPath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        match &self.entry {
            Some(entry) => write!(formatter, "#{entry}"),
            None => Ok(()),
        }
    }
}

/// Values of parameters.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ParamArguments {
    /// Set a parameter (can be repeated)
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<String>,
    /// Take parameters from a YAML or JSON file (can be repeated; -p wins)
    #[arg(long = "params", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Values that a saved preview was made with; what is given goes before them.
    #[arg(skip)]
    pub(crate) known: Map,
}

/// How the loader reads a file.
type Read<'r> = &'r mut dyn FnMut(&str) -> Result<String, ReadError>;

/// A plan that could be loaded, or the exit code after its errors were shown.
pub(crate) enum Checked<T = Box<Loaded>> {
    /// It can run.
    Valid(T),
    /// It cannot; everything wrong with it has been said.
    Invalid(ExitCode),
}

impl PlanArguments {
    /// Loads the plan. Says its warnings, or all its errors, on the standard error.
    pub(crate) fn load(&self, registry: &Registry) -> Answer<Checked> {
        self.load_with(registry, &self.params.values()?)
    }

    /// As [`PlanArguments::load`]; where somebody is at the terminal, asks for the parameters that have no value.
    pub(crate) fn load_or_ask(&self, registry: &Registry) -> Answer<Checked> {
        let mut params = self.params.values()?;
        if ui::ask::is_possible() {
            let named = self.file()?;
            let plan = text(&named.file);
            let inventory = self.inventory.as_deref().map(text);
            let given = params.clone();
            let request = LoadRequest {
                plan: &plan,
                entry: named.entry.as_deref(),
                libraries: &[],
                inventory: inventory.as_deref(),
                params: &given,
                actions: &NO_ACTIONS,
                limit: &[],
                discover: None,
            };
            for missing in missing_params(&request, &mut read) {
                let value = ui::ask::param(&missing)?;
                params.insert(missing.name().to_owned(), Value::String(value));
            }
        }
        self.load_with(registry, &params)
    }

    /// As [`PlanArguments::load`], with these parameters in place of those of the command line.
    pub(crate) fn load_with(&self, registry: &Registry, params: &Map) -> Answer<Checked> {
        self.ask(registry, params, |request, read| {
            let mut loaded = load(request, read)?;
            let warnings = std::mem::take(&mut loaded.warnings);
            Ok((Box::new(loaded), warnings))
        })
    }

    /// As [`PlanArguments::load`], with these values for the parameters that the plan declares and the command line does
    /// not set: those of a run of an earlier version of it, which may have had others.
    pub(crate) fn load_over(&self, registry: &Registry, known: &Map) -> Answer<Checked> {
        let named = self.file()?;
        let request = LoadRequest {
            plan: &text(&named.file),
            entry: named.entry.as_deref(),
            libraries: &[],
            inventory: None,
            params: &Map::new(),
            actions: &NO_ACTIONS,
            limit: &[],
            discover: None,
        };
        let declared = declared_params(&request, &mut read);
        let mut params = known.clone();
        // A secret one has no value in a journal.
        params.retain(|name, value| declared.contains(name) && !value.is_null());
        params.extend(self.params.values()?);
        self.load_with(registry, &params)
    }

    /// Loads everything that the file holds.
    pub(crate) fn load_all(&self, registry: &Registry) -> Answer<Checked<Vec<(Entry, Loaded)>>> {
        self.ask(registry, &self.params.values()?, |request, read| {
            let all = load_all(request, read)?;
            Ok((all.plans, all.warnings))
        })
    }

    /// Loads what a file of monitors or alert rules looks at.
    pub(crate) fn monitors(&self, registry: &Registry) -> Answer<Checked<Vec<Monitor>>> {
        self.ask(registry, &self.params.values()?, |request, read| {
            let all = monitors(request, read)?;
            Ok((all.monitors, all.warnings))
        })
    }

    /// Asks the loader. Says its warnings, or all its errors, on the standard error.
    fn ask<T>(
        &self,
        registry: &Registry,
        params: &Map,
        ask: impl FnOnce(&LoadRequest<'_>, Read<'_>) -> Result<(T, Diagnostics), Diagnostics>,
    ) -> Answer<Checked<T>> {
        let plan = self.file()?;
        let inventory = self.inventory.as_deref().map(text);
        let request = LoadRequest {
            plan: &text(&plan.file),
            entry: plan.entry.as_deref(),
            inventory: inventory.as_deref(),
            ..self.request(params)
        };
        self.answer(registry, &request, &mut read, ask)
    }

    /// Looks at an inventory through a plan of this text, as if it lay beside it.
    pub(crate) fn load_inventory(&self, registry: &Registry, plan: &str) -> Answer<Checked> {
        let inventory = text(&self.file()?.file);
        let name = text(&self.file()?.file.with_file_name("(inventory)"));
        let mut read_or_plan = |path: &str| {
            if path == name {
                Ok(plan.to_owned())
            } else {
                read(path)
            }
        };
        let params = self.params.values()?;
        let request = LoadRequest {
            plan: &name,
            inventory: Some(&inventory),
            ..self.request(&params)
        };
        self.answer(registry, &request, &mut read_or_plan, |request, read| {
            let mut loaded = load(request, read)?;
            let warnings = std::mem::take(&mut loaded.warnings);
            Ok((Box::new(loaded), warnings))
        })
    }

    /// What is asked of the loader whatever the plan is.
    fn request<'a>(&'a self, params: &'a Map) -> LoadRequest<'a> {
        LoadRequest {
            plan: "",
            entry: None,
            libraries: &[],
            inventory: None,
            params,
            actions: &NO_ACTIONS,
            limit: &self.limit,
            discover: None,
        }
    }

    fn answer<T>(
        &self,
        registry: &Registry,
        request: &LoadRequest<'_>,
        read: Read<'_>,
        ask: impl FnOnce(&LoadRequest<'_>, Read<'_>) -> Result<(T, Diagnostics), Diagnostics>,
    ) -> Answer<Checked<T>> {
        let libraries: Vec<String> = self.libraries.iter().map(|path| text(path)).collect();
        let asker = Asker::new(registry, &self.file()?.file);
        let discover = |call: &ActionCall| asker.ask(call);
        let request = LoadRequest {
            libraries: &libraries,
            actions: registry,
            discover: match self.contact {
                Contact::Allowed => Some(&discover),
                Contact::None => None,
            },
            ..*request
        };
        Ok(match ask(&request, read) {
            Ok((loaded, warnings)) => {
                if !warnings.items.is_empty() {
                    show(&warnings);
                }
                Checked::Valid(loaded)
            }
            Err(diagnostics) => {
                show(&diagnostics);
                Checked::Invalid(ExitCode::from(INVALID))
            }
        })
    }

    /// Says whether the sources of its inventory may be asked for targets.
    pub(crate) fn may_contact(&mut self, allowed: bool) {
        self.contact = if allowed { Contact::Allowed } else { Contact::None };
    }

    /// Which plan is meant. Journals and templates name its folder, as text.
    pub(crate) fn file(&self) -> Answer<&PlanPath> {
        let missing = || Failure::invalid("no plan is named");
        let plan = self.plan.as_ref().ok_or_else(missing)?;
        check_text(&plan.file)?;
        Ok(plan)
    }

    /// The plan's file as an absolute path, for the journal.
    pub(crate) fn absolute(&self) -> Answer<PathBuf> {
        std::path::absolute(&self.file()?.file).map_err(Failure::from)
    }
}

/// Journals, messages and arguments of actions are text, and so is where a plan or its tests lie.
pub(crate) fn check_text(file: &Path) -> Answer<()> {
    let absolute = std::path::absolute(file)?;
    match absolute.to_str() {
        Some(_) => Ok(()),
        None => {
            let said = format!(
                "the name of a plan's folder must be UTF-8: {}",
                absolute.display()
            );
            Err(Failure::invalid(said).hint("rename the folder, or put the plan elsewhere"))
        }
    }
}

impl ParamArguments {
    /// All values: those of the files, replaced by those of the command line, which are texts.
    pub(crate) fn values(&self) -> Answer<Map> {
        let mut values = self.known.clone();
        for path in &self.files {
            let shown = path.display();
            let text = read(&text(path)).map_err(|error| {
                Failure::invalid(format!(
                    "cannot read the parameters in {shown}: {}",
                    error.message
                ))
            })?;
            let read: Value = serde_saphyr::from_str(&text)
                .map_err(|error| Failure::invalid(format!("{shown} is no valid YAML: {error}")))?;
            match read {
                Value::Object(fields) => values.extend(fields),
                Value::Null => {}
                _ => {
                    let failure = Failure::invalid(format!("{shown} is no mapping"));
                    return Err(failure.hint("write one `name: value` per line"));
                }
            }
        }
        for param in &self.params {
            let (name, value) = param.split_once('=').ok_or_else(|| {
                Failure::invalid(format!("`-p {param}` sets nothing")).hint("write `-p NAME=VALUE`")
            })?;
            values.insert(name.to_owned(), Value::String(value.to_owned()));
        }
        Ok(values)
    }
}

/// The largest file that is read as a part of a plan; the loader has the finer limits.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Whether a text, as if it stood in `file`, is a valid plan. Says what is wrong with it on the standard error.
pub(crate) fn is_valid(file: &str, plan: &str, registry: &Registry) -> bool {
    let request = LoadRequest {
        plan: file,
        entry: None,
        libraries: &[],
        inventory: None,
        params: &Map::new(),
        actions: registry,
        limit: &[],
        discover: None,
    };
    let mut source = |path: &str| {
        if path == file {
            Ok(plan.to_owned())
        } else {
            read(path)
        }
    };
    match load(&request, &mut source) {
        Ok(_) => true,
        Err(diagnostics) => {
            show(&diagnostics);
            false
        }
    }
}

/// Reads a file that is a plan, or a part of one.
pub(crate) fn read(path: &str) -> Result<String, ReadError> {
    let fail = |message: String| ReadError { message };
    let file = std::fs::File::open(path).map_err(|error| fail(error.to_string()))?;
    let about = file.metadata().map_err(|error| fail(error.to_string()))?;
    if about.is_dir() {
        return Err(fail("it is a directory".to_owned()));
    }
    // A pipe or a device has no length of its own.
    let length = about.len().min(FILE_BYTES_MAX) + 1;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| fail(error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(fail(format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        fail(format!("it is not UTF-8 text: the byte at offset {at} is wrong"))
    })
}

/// Says diagnostics on the standard error.
pub(crate) fn show(diagnostics: &Diagnostics) {
    let mut text = diagnostics.render(ui::Paint::for_stderr().is_on());
    if !text.ends_with('\n') {
        text.push('\n');
    }
    ui::say(&text);
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
