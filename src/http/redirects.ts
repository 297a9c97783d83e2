/** Redirects that are followed by hand: where they lead may be refused, and headers are for their own origin alone. */

/** As many as browsers follow. */
export const MOST_REDIRECTS = 20;

const STATUSES = [301, 302, 303, 307, 308];

export function isRedirect({ status }: Pick<Response, "status">): boolean {
  return STATUSES.includes(status);
}
