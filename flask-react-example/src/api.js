// What the page asks of the API, and how it waits for the answer.

import { useEffect, useState } from "react";

/** An answer that is an error, or none at all: status is 0 then. */
export class ApiError extends Error {
  constructor(message, status = 0, content = null) {
    super(message);
    this.status = status;
    this.content = content;
  }
}

export async function get(path, signal) {
  let response;
  try {
    // relative, so that it holds wherever the page is mounted
    response = await fetch(`api_1_0/${path}`, { signal });
  } catch {
    throw new ApiError("The server cannot be reached.");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok || body === null) {
    const message = body?.message ?? `The server answered with status ${response.status}.`;
    throw new ApiError(message, response.status, body?.content);
  }
  return body;
}

/** The answer to one path: its data or error, neither while it is on its way, and a retry. */
export function useApi(path) {
  const [answer, setAnswer] = useState({});
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    const controller = new AbortController();
    const show = (answer) => controller.signal.aborted || setAnswer(answer);
    get(path, controller.signal).then(
      (data) => show({ data }),
      (error) => show({ error }),
    );
    return () => controller.abort();
  }, [path, attempt]);

  const retry = () => {
    setAnswer({});
    setAttempt(attempt + 1);
  };
  return { ...answer, retry };
}
