package vouchsafe;

import static vouchsafe.World.TENANT;
import static vouchsafe.World.VAULT_A;
import static vouchsafe.World.check;
import static vouchsafe.World.equal;
import static vouchsafe.World.identity;
import static vouchsafe.World.managedIdentity;
import static vouchsafe.World.publicUrl;
import static vouchsafe.World.readsTheSeededSecret;
import static vouchsafe.World.secrets;
import static vouchsafe.World.secretsAt;
import static vouchsafe.World.text;
import static vouchsafe.World.url;

import com.azure.core.credential.TokenCredential;
import com.azure.core.credential.TokenRequestContext;
import com.azure.identity.ClientCertificateCredentialBuilder;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.identity.ManagedIdentityCredentialBuilder;
import com.azure.json.JsonProviders;
import com.azure.json.JsonReader;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** How a program proves who it is, with the credentials of azure-identity as they are. */
final class Identities {
    private static final String VAULT_SCOPE = "https://vault.azure.net/.default";

    private Identities() {}

    static void register(Map<String, Main.Scenario> scenarios) {
        scenarios.put("managed-identity-app-service", () -> {
            check(System.getenv("IDENTITY_ENDPOINT") != null, "the App Service variables are not set");
            readsTheSeededSecret(secrets(VAULT_A));
        });
        scenarios.put("managed-identity-pod-identity", () -> {
            check(System.getenv("IDENTITY_ENDPOINT") == null, "the App Service variables are set");
            check(System.getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST") != null, "the variable is not set");
            readsTheSeededSecret(secrets(VAULT_A));
        });
        scenarios.put("managed-identity-proxy-only", () -> {
            for (String name : List.of("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_POD_IDENTITY_AUTHORITY_HOST")) {
                check(System.getenv(name) == null, name + " is set");
            }
            readsTheSeededSecret(secretsAt(publicUrl(VAULT_A), managedIdentity()));
        });
        scenarios.put("managed-identity-by-client-id", Identities::byClientId);
        scenarios.put("managed-identity-of-another-is-refused", () -> getsNoToken(
                new ManagedIdentityCredentialBuilder().clientId(identity("officer", "client_id")).build()));
        scenarios.put("unattested-process-gets-no-token", () -> {
            check(System.getenv("IDENTITY_ENDPOINT") != null, "the App Service variables are not set");
            getsNoToken(managedIdentity());
        });
        scenarios.put("refusal-says-what-was-seen", Identities::refusalSaysWhatWasSeen);
        scenarios.put("refusal-says-what-was-seen-app-service", Identities::refusalSaysWhatWasSeen);
        scenarios.put("default-azure-credential", () -> readsTheSeededSecret(
                secretsAt(publicUrl(VAULT_A), new DefaultAzureCredentialBuilder().build())));
        scenarios.put("token-for-another-audience", Identities::tokenForAnotherAudience);
        scenarios.put("certificate-credential", () -> {
            check(System.getenv("AZURE_AUTHORITY_HOST") == null, "AZURE_AUTHORITY_HOST is set");
            readsTheSeededSecret(secretsAt(publicUrl(VAULT_A), certificate("certificate_pem")));
        });
        scenarios.put("certificate-credential-reuses-its-assertion", () -> {
            TokenCredential credential = certificate("certificate_pem");
            Set<String> tokens = new HashSet<>();
            for (String resource : List.of("vault.azure.net", "management.azure.com", "graph.microsoft.com")) {
                tokens.add(token(credential, "https://" + resource + "/.default"));
            }
            equal(tokens.size(), 3);
        });
        scenarios.put("unregistered-certificate-is-refused", () -> {
            String said = getsNoToken(certificate("unregistered_certificate_pem"));
            check(said.contains("AADSTS700027"), said);
        });
    }

    private static void byClientId() {
        List<TokenCredential> credentials = List.of(
                new ManagedIdentityCredentialBuilder().clientId(identity("reader", "client_id")).build(),
                new ManagedIdentityCredentialBuilder().objectId(identity("reader", "principal_id")).build(),
                new ManagedIdentityCredentialBuilder().resourceId(identity("reader", "resource_id")).build());
        for (TokenCredential credential : credentials) readsTheSeededSecret(secretsAt(url(VAULT_A), credential));
    }

    private static void refusalSaysWhatWasSeen() {
        String said = getsNoToken(managedIdentity());
        // Java opens sockets that survive an exec, and that is the first thing the kernel says about them.
        check(said.contains("uid ") || said.contains("the connection is inheritable"), said);
    }

    private static void tokenForAnotherAudience() throws Exception {
        TokenCredential credential = managedIdentity();
        for (String audience : List.of("https://vault.azure.net", "https://management.azure.com")) {
            String body = token(credential, audience + "/.default").split("\\.")[1];
            try (JsonReader reader = JsonProviders.createReader(Base64.getUrlDecoder().decode(body))) {
                Map<String, Object> claims = reader.readMap(JsonReader::readUntyped);
                equal(claims.get("aud").toString().replaceAll("/$", ""), audience);
                equal(claims.get("tid"), TENANT);
                equal(claims.get("oid"), identity("reader", "principal_id"));
            }
        }
    }

    private static TokenCredential certificate(String file) {
        return new ClientCertificateCredentialBuilder()
                .tenantId(TENANT).clientId(text("application_client_id")).pemCertificate(text(file)).build();
    }

    private static String token(TokenCredential credential, String scope) {
        return credential.getTokenSync(new TokenRequestContext().addScopes(scope)).getToken();
    }

    /** What the credential says when it gets no token, with all its reasons. */
    private static String getsNoToken(TokenCredential credential) {
        try {
            token(credential, VAULT_SCOPE);
        } catch (RuntimeException error) {
            var said = new StringBuilder();
            for (Throwable cause = error; cause != null; cause = cause.getCause()) said.append(cause).append('\n');
            return said.toString();
        }
        throw new AssertionError("a token that nobody vouches for");
    }
}
