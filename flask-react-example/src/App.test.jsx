import { cleanup, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { App } from "./App.jsx";
import { total } from "./money.js";

const finance = (year, ...quarters) => ({
  year,
  ...Object.fromEntries(quarters.map((amount, index) => [`q${index + 1}_earnings`, amount])),
});

const company = (name) => ({
  content: { name, ceo_name: "Pepper Potts", "business type": "Manufacturing" },
});

let answers;

beforeEach(() => {
  answers = {
    user: { name: "alice" },
    companies: {
      items: [
        { id: 1, name: "Stark Industries" },
        { id: 2, name: "WayneCorp" },
      ],
    },
    "get_company/1": company("Stark Industries"),
    "get_company/2": company("WayneCorp"),
    "finance/1": {
      items: [
        finance(2017, "95.60", "102.30", "99.15", "118.40"),
        finance(2018, "112.25", "120.80", "-87.60", "1131.90"),
      ],
    },
    "finance/2": { items: [finance(2016, "1.00", "2.00", "3.00", "4.00")] },
  };
  vi.stubGlobal("fetch", async (path) => {
    const answer = answers[path.replace("api_1_0/", "")];
    if (answer instanceof Error) {
      throw answer;
    }
    return answer instanceof Response ? answer.clone() : Response.json(answer);
  });
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  window.history.replaceState(null, "", "?");
});

const failure = (status, message, content = null) =>
  Response.json({ status, success: false, message, content }, { status });

/** The chart of that title, once it is there. */
const chart = (name) => screen.findByRole("img", { name });

const cells = (row) => within(row).getAllByRole("cell").map((cell) => cell.textContent);

test("the latest year of the first company, as charts and as a table", async () => {
  render(<App />);
  expect(await screen.findByText("Signed in as alice")).toBeTruthy();
  const quarters = await chart("Stark Industries, the quarters of 2018");
  expect(quarters.querySelector("desc").textContent).toBe(
    "Q1: 112.25, Q2: 120.80, Q3: -87.60, Q4: 1,131.90",
  );
  const years = await chart("Stark Industries, year by year");
  expect(years.querySelector("desc").textContent).toBe("2017: 415.45, 2018: 1,277.35");

  const row = screen.getByRole("row", { current: true });
  expect(within(row).getByRole("rowheader").textContent).toBe("2018");
  expect(cells(row)).toEqual(["112.25", "120.80", "-87.60", "1,131.90", "1,277.35"]);
});

test("another year and another company, which the address keeps", async () => {
  const user = userEvent.setup();
  const { unmount } = render(<App />);
  await user.selectOptions(await screen.findByLabelText("Year"), "2017");
  expect(await chart("Stark Industries, the quarters of 2017")).toBeTruthy();
  expect(window.location.search).toBe("?company=1&year=2017");
  unmount();
  render(<App />);
  expect(await chart("Stark Industries, the quarters of 2017")).toBeTruthy();

  await user.selectOptions(screen.getByLabelText("Company"), "WayneCorp");
  expect(await chart("WayneCorp, the quarters of 2016")).toBeTruthy();
  expect(window.location.search).toBe("?company=2");
});

test("an address that names nothing shows the first", async () => {
  window.history.replaceState(null, "", "?company=99&year=1066");
  render(<App />);
  expect(await chart("Stark Industries, the quarters of 2018")).toBeTruthy();
});

test("what is on its way", async () => {
  vi.stubGlobal("fetch", () => new Promise(() => {}));
  render(<App />);
  expect(screen.getByRole("status").textContent).toBe("Loading who you are …");
});

test("nobody is told where to sign in", async () => {
  answers.user = failure(401, "You are not signed in.", { sign_in: "https://connect.test/" });
  render(<App />);
  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain("You are not signed in.");
  expect(within(alert).getByRole("link").href).toBe("https://connect.test/");
});

test.each([
  ["companies", "the companies"],
  ["get_company/1", "the company"],
  ["finance/1", "the earnings"],
])("a failure of %s, and another try", async (path, what) => {
  const answer = answers[path];
  answers[path] = failure(503, "The database does not answer. Try again.");
  render(<App />);
  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain(`Not loaded: ${what}. The database does not answer.`);
  answers[path] = answer;
  await userEvent.click(within(alert).getByRole("button", { name: "Try again" }));
  expect(await chart("Stark Industries, year by year")).toBeTruthy();
  expect(screen.queryByRole("alert")).toBeNull();
});

test.each([
  [new TypeError("Failed to fetch"), "The server cannot be reached."],
  [new Response("<h1>Bad gateway</h1>", { status: 502 }), "The server answered with status 502."],
  [new Response("not JSON"), "The server answered with status 200."],
])("an answer that is none of the API's: %s", async (answer, words) => {
  answers.companies = answer;
  render(<App />);
  expect((await screen.findByRole("alert")).textContent).toContain(words);
});

test("nothing there yet", async () => {
  answers["finance/1"] = { items: [] };
  const { unmount } = render(<App />);
  expect(await screen.findByText("Stark Industries has no earnings yet.")).toBeTruthy();
  unmount();
  answers.companies = { items: [] };
  render(<App />);
  expect(await screen.findByText(/There are no companies yet/)).toBeTruthy();
});

test("a total is exact", () => {
  expect(total(finance(2018, "0.10", "0.20", "0.30", "0.40"))).toBe(1);
  expect(total(finance(2018, "999999999999.99", "-0.02", "0.01", "0.01"))).toBe(999999999999.99);
});
