//! The arguments that every action has: which service, and as whom.

use std::path::Path;

/// Which service an action speaks to, and as whom.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'a> {
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
    pub(crate) profile: Option<&'a str>,
    pub(crate) path_style: Option<bool>,
    pub(crate) access_key: Option<&'a str>,
    pub(crate) secret_key: Option<&'a str>,
    pub(crate) session_token: Option<&'a str>,
    pub(crate) ca_file: Option<&'a Path>,
}

/// Declares an action's arguments, with those of [`Reach`] added. (A flattened struct cannot reject unknown fields.)
macro_rules! arguments {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_meta])* pub(crate) $field: $type,)*
            /// The service's address, such as `https://minio.example:9000`; Amazon's for the region if absent.
            #[serde(default)]
            pub(crate) endpoint: Option<String>,
            /// The region that requests are signed for. If absent: `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's, then
            /// `us-east-1`.
            #[serde(default)]
            pub(crate) region: Option<String>,
            /// The section of `~/.aws/credentials` and `~/.aws/config` to take credentials from, before the environment.
            #[serde(default)]
            pub(crate) profile: Option<String>,
            /// Whether the bucket stands in the path (`https://host/bucket/key`) instead of in the host's name; so by
            /// default if an endpoint is given.
            #[serde(default)]
            pub(crate) path_style: Option<bool>,
            /// The access key's id. Without it: the profile, the environment, then the role of the container or machine.
            #[serde(default)]
            pub(crate) access_key: Option<String>,
            /// The secret key; from a secret, never written in a plan.
            #[serde(default)]
            pub(crate) secret_key: Option<String>,
            /// The token that belongs to temporary keys.
            #[serde(default)]
            pub(crate) session_token: Option<String>,
            /// A file of certificates in PEM, relative to the plan's folder: trusted beside the system's.
            #[serde(default)]
            pub(crate) ca_file: Option<std::path::PathBuf>,
        }

        impl $name {
            fn reach(&self) -> crate::arguments::Reach<'_> {
                crate::arguments::Reach {
                    endpoint: self.endpoint.as_deref(),
                    region: self.region.as_deref(),
                    profile: self.profile.as_deref(),
                    path_style: self.path_style,
                    access_key: self.access_key.as_deref(),
                    secret_key: self.secret_key.as_deref(),
                    session_token: self.session_token.as_deref(),
                    ca_file: self.ca_file.as_deref(),
                }
            }
        }
    };
}
pub(crate) use arguments;
