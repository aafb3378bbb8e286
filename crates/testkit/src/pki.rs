//! One cluster's certificates, keys and kubeconfigs.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde_json::json;

/// A certificate authority whose key lives as long as the cluster, and the directory of what it
/// issued.
pub(crate) struct Authority {
    directory: PathBuf,
    server: SocketAddr,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes the authority, the API server's certificate (`server.crt`, `server.key`) and the key
    /// that signs service account tokens (`accounts.key`, `accounts.pub`) in `directory`.
    pub(crate) fn new(directory: &Path, server: SocketAddr) -> Result<Self> {
        let mut params = subject("oc-testkit", None)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        fs::write(directory.join("ca.crt"), issuer.pem())?;
        let accounts = KeyPair::generate()?;
        fs::write(directory.join("accounts.key"), accounts.serialize_pem())?;
        fs::write(directory.join("accounts.pub"), accounts.public_key_pem())?;
        let authority = Self { directory: directory.to_owned(), server, issuer };
        let names =
            [server.ip().to_string(), "localhost".to_owned(), "kubernetes.default.svc".to_owned()];
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        authority.issue("server", &params)?;
        Ok(authority)
    }

    /// A kubeconfig for `user`, of `group`, with a new client certificate.
    pub(crate) fn kubeconfig(&self, user: &str, group: Option<&str>) -> Result<PathBuf> {
        let stem = user.replace(':', "-");
        let mut params = subject(user, group)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&stem, &params)?;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "testkit",
            "contexts": [{ "name": "testkit", "context": { "cluster": "testkit", "user": user } }],
            "clusters": [{ "name": "testkit", "cluster": {
                "server": format!("https://{}", self.server),
                "certificate-authority": self.directory.join("ca.crt"),
            } }],
            "users": [{ "name": user, "user": {
                "client-certificate": self.directory.join(format!("{stem}.crt")),
                "client-key": self.directory.join(format!("{stem}.key")),
            } }],
        });
        let path = self.directory.join(format!("{stem}.kubeconfig"));
        fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
        Ok(path)
    }

    /// Writes `<stem>.crt` and `<stem>.key`.
    fn issue(&self, stem: &str, params: &CertificateParams) -> Result<()> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        fs::write(self.directory.join(format!("{stem}.crt")), certificate.pem())?;
        fs::write(self.directory.join(format!("{stem}.key")), key.serialize_pem())?;
        Ok(())
    }
}

/// A certificate's subject as Kubernetes reads it: the common name is the user, the organisation is
/// its group.
fn subject(user: &str, group: Option<&str>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    Ok(params)
}
