// panva's oidc-provider, with an automatic person in place of its pages: started and steered by node.py.
// The settings come as one line of JSON on stdin; the end of stdin, and so that of the tests, ends the process.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const lines = createInterface({ input: process.stdin });
lines.on('close', () => process.exit(0));
const [line] = await once(lines, 'line');
const settings = JSON.parse(line);

// By path: the search for packages starts beside this file, where there are none.
const folder = join(settings.modules, 'oidc-provider', 'lib');
const { Provider } = await import(pathToFileURL(join(folder, 'index.js')));
const { default: MemoryAdapter } = await import(pathToFileURL(join(folder, 'adapters', 'memory_adapter.js')));

const people = new Map(); // sub -> claims
let person; // who sits at the browser: a sub, or nobody, who cancels
const logouts = []; // what became of the back-channel calls

const server = createServer();
server.listen(settings.port ?? 0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), kid: 'node-1', use: 'sig', alg: 'RS256' };

const provider = new Provider(issuer, {
  adapter: MemoryAdapter,
  jwks: { keys: [key] },
  cookies: { keys: [randomUUID()] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  conformIdTokenClaims: !settings.claims_in_id_token,
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource(ctx, form) {
        ctx.body = `<!DOCTYPE html><title>Log out?</title>${form}
          <button form="op.logoutForm" type="submit" name="logout" value="yes">Yes</button>`;
      },
      postLogoutSuccessSource(ctx) {
        ctx.body = '<!DOCTYPE html><title>Logged out</title>';
      },
    },
  },
  async findAccount(_ctx, sub) {
    const claims = people.get(sub);
    return claims && { accountId: sub, claims: () => ({ ...claims, sub }) };
  },
  async loadExistingGrant(ctx) { // in place of the consent page
    const { client, session } = ctx.oidc;
    const known = session.grantIdFor(client.clientId);
    const grant = (known && await provider.Grant.find(known))
      || new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  renderError(ctx, out) {
    ctx.type = 'json';
    ctx.body = out;
  },
  ttl: { Session: 3600, Grant: 3600, Interaction: 600, AccessToken: 600, IdToken: 600, AuthorizationCode: 60 },
  fetch: (url, { dispatcher, ...rest }) => fetch(url, rest), // its own dispatcher refuses loopback
});
provider.on('server_error', (_ctx, error) => console.error(error));
provider.on('backchannel.success', (_ctx, client, sub, sid) => logouts.push({ client: client.clientId, sub, sid }));
provider.on('backchannel.error', (_ctx, error, client, sub, sid) => logouts.push(
  { client: client.clientId, sub, sid, error: error.message },
));

async function interaction(request, response) {
  const { prompt } = await provider.interactionDetails(request, response);
  const result = prompt.name === 'login' && person !== undefined
    ? { login: { accountId: person } }
    : { error: 'access_denied', error_description: 'End-User aborted interaction' };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const control = {
  async '/__person'(claims) {
    if (claims) people.set(claims.sub, claims);
    person = claims?.sub;
    return {};
  },
  async '/__client'(metadata) {
    await provider.Client.adapter.upsert(metadata.client_id, metadata);
    await provider.Client.find(metadata.client_id); // refuses metadata that it does not like
    return {};
  },
  async '/__logouts'() {
    return logouts;
  },
};

const serve = provider.callback();
server.on('request', async (request, response) => {
  const { pathname } = new URL(request.url, issuer);
  try {
    if (pathname.startsWith('/interaction/')) {
      await interaction(request, response);
    } else if (control[pathname]) {
      const body = Buffer.concat(await request.toArray()).toString();
      const answer = await control[pathname](body && JSON.parse(body));
      response.setHeader('Content-Type', 'application/json').end(JSON.stringify(answer));
    } else {
      serve(request, response);
    }
  } catch (error) {
    response.writeHead(400).end(`${error.message}: ${error.error_description ?? ''}`);
  }
});

console.log(issuer);
