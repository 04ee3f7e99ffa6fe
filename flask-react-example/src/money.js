// Earnings come as strings with two decimals, because those are exact.

export const QUARTERS = ["Q1", "Q2", "Q3", "Q4"];

const format = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const quarter = (finance, name) => Number(finance[`${name.toLowerCase()}_earnings`]);

/** The sum of a year's quarters, counted in hundredths so that it is exact. */
export function total(finance) {
  const hundredths = QUARTERS.map((name) => Math.round(quarter(finance, name) * 100));
  return hundredths.reduce((sum, value) => sum + value) / 100;
}

export const shown = (amount) => format.format(amount);
