// Counts errors of the page itself, for tests: <html data-errors="0">.

const root = document.documentElement;
root.dataset.errors = "0";
const countError = () => { root.dataset.errors = String(Number(root.dataset.errors) + 1); };
window.addEventListener("error", countError);
window.addEventListener("unhandledrejection", countError);
document.addEventListener("securitypolicyviolation", countError);

